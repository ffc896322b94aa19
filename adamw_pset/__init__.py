"""Weight decay and Adam: a problem set.  See ``README.md`` and ``explore_Adam.ipynb``.

Importing the package is quick: each name of ``__init__.pyi`` is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
