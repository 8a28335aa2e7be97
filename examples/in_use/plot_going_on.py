r"""A fit that was killed goes on
=============================

Machines restart, queues have time limits, notebooks die. A fit with a checkpoint is started again
by the same program, and ends where it would have ended: not nearly there, but with the same bits.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_moons

from skdnn import Checkpoint, DeepBinaryClassifier

# %%
# A program that is killed
# ------------------------
# It prints a line now and then, and saves after each epoch. (By default it is every 30 seconds.)
# Once it has printed its second line it is killed, as hard as the system can.

PROGRAM = """
import sys
from sklearn.datasets import make_moons
from skdnn import Checkpoint, DeepBinaryClassifier

X, y = make_moons(40_000, noise=0.3, random_state=0)
checkpoint = Checkpoint(sys.argv[1], every_epochs=1)
clf = DeepBinaryClassifier(
    learning_rate=0.0003, checkpoint=checkpoint, verbose=1, random_state=0
).fit(X, y)
"""

folder = tempfile.TemporaryDirectory()
file = Path(folder.name, "moons.ckpt")
command = [sys.executable, "-u", "-c", PROGRAM, file]


def epoch_of(line):
    """Return the number in "epoch 3/25: cost …"."""
    return int(line.split()[1].partition("/")[0])


with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
    first_lines = [process.stdout.readline() for _ in range(2)]
    process.kill()
print(*first_lines, "killed", sep="")
assert process.returncode != 0

# %%
# The same program again
# ----------------------
# It finds the file, resumes with the epoch after the last one that was saved, and ends with a line
# that says why it stopped.

again = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
second_lines = again.stdout.splitlines()
print(*second_lines, sep="\n")
first_epoch = epoch_of(second_lines[1])  # after "Resumed from epoch … of …/moons.ckpt"
assert first_epoch > epoch_of(first_lines[-1])

# %%
# As if nothing had been
# ----------------------
# The fit in this process was never stopped. The other one is read from its file, which a fit that
# has ended leaves behind: the same fit again is done at once. Their weights are equal, not close.

X, y = make_moons(40_000, noise=0.3, random_state=0)
whole = DeepBinaryClassifier(learning_rate=0.0003, random_state=0).fit(X, y)
killed = clone(whole).set_params(checkpoint=Checkpoint(file, every_epochs=1)).fit(X, y)
for here, there in zip(whole.coefs_, killed.coefs_, strict=True):
    assert np.array_equal(here, there)

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
epochs = np.arange(1, whole.n_iter_ + 1)
ax.plot(epochs, whole.loss_curve_, color="0.8", lw=7, label="never stopped")
for process, part in (("first", epochs < first_epoch), ("second", epochs >= first_epoch)):
    cost = np.array(killed.loss_curve_)[part]
    ax.plot(epochs[part], cost, "o-", label=f"{process} process")
ax.axvline(first_epoch - 0.5, color="grey", linestyle=":")
ax.set(xlabel="epoch", ylabel="cost of the training rows")
ax.legend()
folder.cleanup()
plt.show()

# %%
# With a larger ``max_iter`` the same fit is trained for more epochs. A damaged file, or one of
# another fit or other data, is an error and stays as it is. Reading a
# checkpoint runs no code. Each fit of a search would need a file of its own: give a checkpoint to
# one fit, not to a search.
