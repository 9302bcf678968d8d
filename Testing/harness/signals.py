"""`object.connect("signal(types)", function)` and `disconnect`, with PythonQt's rules for the arguments."""

from __future__ import annotations

import types

from PySide6.QtCore import SIGNAL, QMetaObject, QObject
from shiboken6 import Shiboken

# (address of the sender, signature) -> what the user connected and what PySide was given for it
_connected: dict[tuple[int, str], list[tuple]] = {}


def connect(sender: QObject, signature: str, function) -> bool:
    """Call `function` at every `signature` of `sender`; ValueError when there is no such signal."""
    signature = _existing(sender, signature)
    slot = _with_fitting_arguments(function)
    if _stand_in_signal(sender, signature):
        getattr(sender, _stand_in_signal(sender, signature)).connect(slot)
    else:
        QObject.connect(sender, SIGNAL(signature), slot)
    _connected.setdefault(_key(sender, signature), []).append((function, slot))
    return True


def disconnect(sender: QObject, signature: str, function) -> bool:
    """Undo one `connect`; False when it was not connected."""
    signature = _existing(sender, signature)
    pairs = _connected.get(_key(sender, signature), [])
    for index in reversed(range(len(pairs))):
        if pairs[index][0] == function:
            slot = pairs.pop(index)[1]
            if _stand_in_signal(sender, signature):
                getattr(sender, _stand_in_signal(sender, signature)).disconnect(slot)
                return True
            return bool(QObject.disconnect(sender, SIGNAL(signature), slot))
    return False


def disconnect_all(sender: QObject) -> None:
    """Undo every `connect` of `sender`; for what outlives a test."""
    address, _ = _key(sender, "")
    for (owner, signature), pairs in list(_connected.items()):
        for function, _ in list(pairs) if owner == address else []:
            disconnect(sender, signature, function)


def _existing(sender: QObject, signature: str) -> str:
    normal = bytes(QMetaObject.normalizedSignature(signature)).decode()
    if not _stand_in_signal(sender, normal) and sender.metaObject().indexOfSignal(normal) < 0:
        raise ValueError(f"{sender.metaObject().className()} has no signal {signature}")
    return normal


def _stand_in_signal(sender: QObject, signature: str) -> str:
    """Our signal for one whose C++ types Qt does not know here; empty when there is none."""
    return getattr(type(sender), "SIGNALS", {}).get(signature, "")


def _key(sender: QObject, signature: str) -> tuple[int, str]:
    return Shiboken.getCppPointer(sender)[0], signature


def _with_fitting_arguments(function):
    """PythonQt gives a Python function or method as many arguments as it has parameters, and anything else all."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if not isinstance(function, types.FunctionType | types.MethodType) or code.co_flags & 0x04:  # *args
        return lambda *arguments: function(*arguments)
    count = code.co_argcount - isinstance(function, types.MethodType)
    return lambda *arguments: function(*arguments[:count])
