"""Data: from what users pass to tensors on the device; knows no network.

From the lowest package to the highest, each of which imports only those before it: `frames` reads
any container by columns, `encoding` makes the network's inputs of them, `targets` reads y and the
weights of the rows, `batches` splits rows and cuts them into mini-batches, `streaming` does the
same for rows in files.
"""
