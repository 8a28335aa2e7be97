"""Large arrays are read in chunks of rows that stay in a processor's cache."""

CHUNK_SIZE = 2**18


def row_chunks(X, n=1):
    """Yield slices that cut the rows of X into n chunks, or more of about 2**18 numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.frames._chunks import row_chunks
    >>> list(row_chunks(np.empty((3, 2**17))))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    n_samples, n_features = X.shape
    rows = max(1, min(CHUNK_SIZE // max(1, n_features), -(-n_samples // n)))
    for start in range(0, n_samples, rows):
        yield slice(start, min(start + rows, n_samples))
