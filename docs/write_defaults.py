"""Write the tables of the values of "auto", which the API page includes, to ``docs/defaults.rst``.

Run after a change of ``skdnn/estimator/_defaults.py``::

    python docs/write_defaults.py
"""

from pathlib import Path

from skdnn.estimator import DEFAULTS

PAGE = Path(__file__).with_name("defaults.rst")
HEAD = """\
.. Made by docs/write_defaults.py from skdnn/estimator/_defaults.py.

The first row whose condition holds decides. m is the number of rows, w their total weight, n the
number of columns of X and v the total variance of these: 1 for each, but 0 for a constant one and
``4 f (1 - f)`` for a column of two numbers, one of which a fraction f of the rows has, unless
``standardize`` is a bool. u is v plus the number of bins or cosines and of missing-value
indicators. The last column says on which public tables or photographs a value was measured, and
what it changed: see :doc:`guide/accuracy`.
``init_scale="auto"`` is sqrt(gain / n^[l-1]) for all data.
"""
TABLE = """
``{parameter}``

.. list-table::
   :header-rows: 1
   :widths: 34 28 38

   * - condition
     - value
     - measured
"""


def tables():
    """Return the text of the page."""
    parts = [HEAD]
    for parameter, rules in DEFAULTS.items():
        parts.append(TABLE.format(parameter=parameter))
        for rule in rules:
            value = rule.formula or f"``{rule.value!r}``".replace("torch.", "")
            cells = (rule.condition, value, rule.measured)
            parts += [f"   {'*' if k == 0 else ' '} - {cell}\n" for k, cell in enumerate(cells)]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(tables(), encoding="utf-8")
