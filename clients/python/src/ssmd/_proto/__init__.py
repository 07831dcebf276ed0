"""The messages of proto/ssmd/v1, for this package alone.

They live in a descriptor pool of their own: they cannot clash with stubs that a program made of the
same protos, nor with another version of them. `NAME_pb2.py` and its types are made by hatch_build.py.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper


def _read_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(
        resources.files(__name__).joinpath("ssmd.binpb").read_bytes()
    )
    for file in files.file:  # each after those that it imports
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _read_pool()


def load(file: str, module: dict[str, Any]) -> None:
    """Puts the messages and enums of a .proto into the names of a module."""
    descriptor = _pool.FindFileByName(file)
    for name, message in descriptor.message_types_by_name.items():
        module[name] = message_factory.GetMessageClass(message)
    for name, enum in descriptor.enum_types_by_name.items():
        module[name] = enum_type_wrapper.EnumTypeWrapper(enum)
        module.update({value.name: value.number for value in enum.values})
