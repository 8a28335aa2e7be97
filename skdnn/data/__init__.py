"""Data: from what users pass to tensors on the device. Nothing here depends on the network.

Each package imports only those above it in this list:

- `frames` reads the columns of any container;
- `encoding` turns columns into network inputs;
- `targets` reads y and the sample weights;
- `batches` splits rows and cuts them into mini-batches;
- `streaming` does the same for rows in files.
"""
