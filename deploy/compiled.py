"""Compiles the modules that clean and chunk text, in place: `python deploy/compiled.py TREE`.

Beside each module stays its source in Python. Those with a `.pyx` beside them are compiled from that by Cython and from
nothing else, all others as they are by mypyc. Needs a C compiler, mypy, Cython and setuptools.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from mypyc.build import mypycify
from setuptools import Extension, setup

PACKAGE = "courtlistener_assets"
#: What every character of a document goes through.
CHUNKS = ("abbreviations", "chunking", "cuts", "remembered", "token_counts", "token_ruler")
#: Headings are looked for in chunks only, by code that mypyc does not know.
WITHOUT = ("__init__", "headings")
_MYPY = "[mypy]\nfollow_imports = skip\nignore_missing_imports = True\nexplicit_package_bases = True\n"
_C_FLAGS = ["-O3", "-g0", "-fno-semantic-interposition", "-Wno-unused-function"]


def compile_in(tree: Path) -> None:
    """Compile the modules of the package in a directory."""
    os.chdir(tree)
    work = Path("compiling")
    work.mkdir()
    (work / "mypy.ini").write_text(_MYPY, encoding="utf-8")
    cython = sorted(Path(PACKAGE).glob("*/*.pyx"))
    modules = [*Path(PACKAGE, "text").glob("*.py"), *(Path(PACKAGE, "chunks", f"{name}.py") for name in CHUNKS)]
    python = [
        str(module)
        for module in sorted(modules)
        if module.stem not in WITHOUT and module.with_suffix(".pyx") not in cython
    ]
    extensions = cythonize(
        [
            Extension(
                ".".join(module.with_suffix("").parts), [str(module)], include_dirs=["."], extra_compile_args=_C_FLAGS
            )
            for module in cython
        ],
        build_dir=str(work),
    )
    extensions += mypycify(
        [f"--config-file={work / 'mypy.ini'}", *python],
        opt_level="2",
        debug_level="0",
        target_dir=str(work),
        group_name=f"{PACKAGE}.compiled",
    )
    setup(
        name=PACKAGE,
        packages=[],
        ext_modules=extensions,
        script_args=["-q", "build_ext", "--inplace", "--build-temp", str(work)],
    )
    for made in (work, Path("build")):
        shutil.rmtree(made, ignore_errors=True)


if __name__ == "__main__":
    compile_in(Path(sys.argv[1]))
