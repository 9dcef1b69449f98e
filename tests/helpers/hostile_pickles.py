"""Pickles that create a file when they are trusted, archives of any pickle, and readers of both."""

import contextlib
import os
import pickle
import struct
import subprocess
import zipfile
from pathlib import Path

from full_scale.convert import unpickle


def archive(path: Path, program: bytes, **storages: bytes) -> Path:
    """A file in the layout of torch.save that holds any pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/byteorder", b"little")
        for key, content in storages.items():
            file.writestr(f"archive/data/{key.removeprefix('s')}", content)
        file.writestr("archive/version", b"3\n")
    return path


def program(*parts: bytes | str) -> bytes:
    return b"".join(part if isinstance(part, bytes) else _text(part) for part in parts)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


class Reduced:
    """An object that is pickled as a call of a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


HEAD = b"\x80\x02"


def attacks(canary: Path) -> dict[str, bytes]:
    """Programs that create the file `canary` if they are run."""
    statement = f"open({str(canary)!r}, 'w').close()"
    shell = f"touch {canary}"
    call = b"\x85R"  # the last item as the only argument of the item before it

    return {
        "os.system": pickle.dumps(Reduced(os.system, (shell,)), 2),
        "builtins.eval": pickle.dumps(Reduced(eval, (statement,)), 2),
        "builtins.exec": pickle.dumps(Reduced(exec, (statement,)), 4),
        "subprocess": pickle.dumps(Reduced(subprocess.Popen, (["touch", str(canary)],)), 2),
        "inside a dictionary": pickle.dumps({"model": {"a": Reduced(eval, (statement,))}}, 2),
        "as a dictionary key": pickle.dumps({Reduced(eval, (statement,)): 1}, 2),
        # The function is an attribute of a module that is the result of a call.
        "getattr": program(
            HEAD,
            b"c__builtin__\ngetattr\n",
            b"c__builtin__\n__import__\n",
            "os",
            call,
            "system",
            b"\x86R",
            shell,
            call,
            b".",
        ),
        "dotted name": program(b"\x80\x04", "os", "path.os.system", b"\x93", shell, call, b"."),
        "INST": f"(S'{shell}'\niposix\nsystem\n.".encode(),
        "OBJ": program(b"(", b"cposix\nsystem\n", shell, b"o."),
        "list of a map": pickle.dumps(Reduced(list, (Reduced(map, (eval, [statement])),)), 2),
        "NEWOBJ": program(HEAD, b"csubprocess\nPopen\n", shell, b"I01\n\x86\x81."),
        # Load hooks of torch. A rebuild function gets another function to call.
        "rebuild from type": program(
            HEAD,
            b"ctorch._tensor\n_rebuild_from_type_v2\n",
            b"(",
            b"c__builtin__\neval\n",
            b"c__builtin__\nstr\n",
            statement,
            b"\x85",
            b"}",
            b"tR.",
        ),
        "typed storage": program(
            HEAD, b"ctorch.storage\n_load_from_bytes\n", b"C\x04abcd", call, b"."
        ),
        "torch.load": program(HEAD, b"ctorch.serialization\nload\n", str(canary), call, b"."),
        "torch.save": program(HEAD, b"ctorch\nsave\n", "x", str(canary), b"\x86R."),
        "torch.hub": program(
            HEAD, b"ctorch.utils.cpp_extension\nload_inline\n", "x", str(canary), b"\x86R."
        ),
        "backward hooks": program(
            HEAD,
            b"ctorch._utils\n_rebuild_parameter\n",
            b"(K\x01\x88",
            b"c__builtin__\neval\n",
            statement,
            call,
            b"tR.",
        ),
        # State for a function or a class instead of an object. It would change it for everybody.
        "state of a function": program(
            HEAD,
            b"ctorch._utils\n_rebuild_parameter\n",
            b"}",
            "__wrapped__",
            "x",
            b"sb0",
            b"c__builtin__\neval\n",
            statement,
            call,
            b".",
        ),
        "state of a class": program(
            HEAD,
            b"csomeone\nElse\n",
            b"N}",
            "__init__",
            b"c__builtin__\neval\n",
            b"s\x86b",
            statement,
            call,
            b".",
        ),
        "state of the allowed class": program(
            HEAD,
            b"ccollections\nOrderedDict\n",
            b"N}",
            "__setitem__",
            b"c__builtin__\neval\n",
            b"s\x86b.",
        ),
        "extension registry": program(HEAD, b"\x82\x01", statement, call, b"."),
        "persistent id": program(
            HEAD, b"(", "storage", b"c__builtin__\neval\n", statement, "cpu", b"K\x01tQ."
        ),
        "persistent id, text": b"Ppwned\n.",
    }


def with_strict_reader(path: Path):
    """What the restricted reader alone makes of a file, without torch.load."""
    with zipfile.ZipFile(path) as file:
        return unpickle._Unpickler(file).load()


def quietly(function, *arguments):
    """The result, or None after a ValueError, the only error that is allowed."""
    with contextlib.suppress(ValueError):
        return function(*arguments)
