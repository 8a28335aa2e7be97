"""Images as vectors
====================

A network takes numbers, and a photograph is numbers: for each pixel how red, how green and how blue
it is. This example takes a photograph apart into the vector :math:`x` of the lecture, puts it
together again, and stacks five of them to the matrix :math:`X`.
"""

# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

from skdnn import ImageVectorizer

# %%
# A photograph of 40 × 60 pixels
# ------------------------------
# scikit-learn brings two photographs, a temple and a dahlia. Reduced to 40 rows of 60 pixels, the
# dahlia is still a flower to us.

temple, dahlia = load_sample_images().images
vectorizer = ImageVectorizer(size=(60, 40), scale=None, dtype="uint8")
image = vectorizer.inverse_transform(vectorizer.fit_transform([dahlia]))[0]

figure, axes = plt.subplots(1, 2, figsize=(6, 2.4), layout="compressed")
for ax, photo in zip(axes, (dahlia, image), strict=True):
    ax.imshow(photo)
    ax.set(title=f"{photo.shape[0]} × {photo.shape[1]} pixels", xticks=[], yticks=[])

# %%
# Three colour planes
# -------------------
# The computer has three tables of 40 × 60 levels from 0 to 255, one for each colour. Orange petals
# are bright in the red plane, less so in the green one and dark in the blue one.

figure, axes = plt.subplots(2, 2, figsize=(6, 4.5), layout="compressed")
axes[0, 0].imshow(image)
axes[0, 0].set(title="all three", xticks=[], yticks=[])
for c, (ax, name) in enumerate(zip(axes.flat[1:], ("red", "green", "blue"), strict=True)):
    plane = np.zeros_like(image)
    plane[:, :, c] = image[:, :, c]
    ax.imshow(plane)
    ax.set(title=f"{name}, mean level {image[:, :, c].mean():.0f}", xticks=[], yticks=[])

# %%
# The upper left corner of the red plane, as numbers:

print(image[:5, :10, 0])

# %%
# One vector of 7200 numbers
# --------------------------
# The planes are read like a book, row by row, first all of red, then of green, then of blue. That
# makes :math:`n_x = 40 \cdot 60 \cdot 3 = 7200` numbers, which is what
# :class:`~skdnn.ImageVectorizer` returns.

x = vectorizer.transform([dahlia])[0]
assert x.shape == (40 * 60 * 3,) == (7200,)
by_hand = [image[row, column, c] for c in range(3) for row in range(40) for column in range(60)]
assert np.array_equal(x, by_hand)
print("x =", x)

# %%
# Drawn one after the other, the numbers are no flower to us, yet nothing is lost. Below are five
# rows out of the middle of the red plane: each is a wave, dark at both ends and bright in between.

figure, axes = plt.subplots(2, 1, figsize=(6, 4.2), layout="constrained")
for start, colour in zip((0, 2400, 4800), ("tab:red", "tab:green", "tab:blue"), strict=True):
    columns = np.arange(start, start + 2400)
    axes[0].plot(columns + 1, x[columns], color=colour, linewidth=0.5)
columns = np.arange(17 * 60, 22 * 60)
axes[1].plot(columns + 1, x[columns], color="tab:red")
axes[0].set(ylabel="level", xticks=[1, 2400, 4800, 7200])
axes[1].set(ylabel="level", xticks=columns[::60] + 1, xlabel="position in the vector")
for ax in axes:
    ax.margins(x=0)

# %%
# And back
# --------
# The way back needs only the size. Every level returns to its pixel.

again = vectorizer.inverse_transform([x])[0]
assert np.array_equal(again, image)

# %%
# Two vectors can be compared and mixed number by number, which is all that a network does with
# them. Half a dahlia and half a temple:

t = vectorizer.transform([temple])[0]
mixtures = {"$x$": x, "$x/2 + t/2$": x / 2 + t / 2, "$t$": t}
figure, axes = plt.subplots(1, 3, figsize=(6, 1.8), layout="compressed")
images = vectorizer.inverse_transform(list(mixtures.values()))
for ax, title, mixture in zip(axes, mixtures, images, strict=True):
    ax.imshow(mixture)
    ax.set(title=title, xticks=[], yticks=[])

# %%
# Five examples, side by side
# ---------------------------
# The lecture stacks its examples as the **columns** of a matrix :math:`X` of shape
# :math:`n_x \times m`. scikit-learn, and everything here, takes one example a **row**: :math:`X` of
# shape :math:`m \times n_x`. The one is the other transposed.

corners = [(140, 260), (230, 300), (20, 40), (40, 120), (300, 200)]  # of 80 × 120 pixels
photos = [dahlia] * 3 + [temple] * 2
patches = [
    photo[top : top + 80, left : left + 120]
    for photo, (top, left) in zip(photos, corners, strict=True)
]
X = ImageVectorizer(size=(60, 40)).fit_transform(patches)
y = np.array([1, 1, 0, 0, 0])
assert X.shape == (5, 7200)
assert X.T.shape == (7200, 5)
print(f"here X is {X.shape[0]} × {X.shape[1]}, in the lecture {X.T.shape[0]} × {X.T.shape[1]}")

# %%
# ``scale="unit"``, the default, has divided the levels by 255. Below each patch with its label
# :math:`y` stands its row of :math:`X`, 60 numbers a line: red, under it green, under it blue.

figure, axes = plt.subplots(2, 5, figsize=(6, 3.8), height_ratios=(1, 3), layout="compressed")
for k, (photo, row) in enumerate(zip(patches, axes.T, strict=True)):
    row[0].imshow(photo)
    row[0].set(title=f"y = {y[k]}", xticks=[], yticks=[])
    row[1].imshow(X[k].reshape(3 * 40, 60), cmap="gray", vmin=0, vmax=1)
    row[1].set(xlabel=f"X[{k}]", xticks=[], yticks=[])
plt.show()
