# SPDX-License-Identifier: Apache-2.0
"""Builds the wheel of the package `chronos` (PEP 517, PEP 660) with the standard library alone, so
that pip needs no network."""

import base64
import hashlib
import io
import os
import re
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "chronosfs"
SUMMARY = "A part of a GPU, for a limited time: chronosfs from Python"


def _read(name):
    with open(os.path.join(HERE, name), "rb") as file:
        return file.read()


def _sources():
    return sorted("chronos/" + name for name in os.listdir(os.path.join(HERE, "chronos"))
                  if name.endswith(".py") or name == "py.typed")


VERSION = re.search(rb'^__version__ = "(.*)"$', _read("chronos/__init__.py"), re.M)[1].decode()
METADATA = (f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\nSummary: {SUMMARY}\n"
            "License: Apache-2.0\nRequires-Python: >=3.9\n"
            "Classifier: Operating System :: POSIX :: Linux\nClassifier: Typing :: Typed\n")
INFO = f"{NAME}-{VERSION}.dist-info"


def _wheel(directory, contents):
    """Write a wheel of these files, the same bytes each time."""
    contents = dict(contents)
    contents[INFO + "/METADATA"] = METADATA.encode()
    contents[INFO + "/WHEEL"] = (b"Wheel-Version: 1.0\nGenerator: chronosfs\n"
                                 b"Root-Is-Purelib: true\nTag: py3-none-any\n")
    rows = []
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}\n")
    contents[INFO + "/RECORD"] = ("".join(rows) + INFO + "/RECORD,,\n").encode()
    wheel = f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, {name: _read(name) for name in _sources()})


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, {NAME + ".pth": HERE.encode() + b"\n"})


def build_sdist(sdist_directory, config_settings=None):
    top = f"{NAME}-{VERSION}"
    path = os.path.join(sdist_directory, top + ".tar.gz")
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        files = {name: _read(name) for name in ["pyproject.toml", "wheel_backend.py", *_sources()]}
        files["PKG-INFO"] = METADATA.encode()
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return os.path.basename(path)
