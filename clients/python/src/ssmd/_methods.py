"""The calls of proto/ssmd/v1 that the clients make: paths and message types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from ssmd._proto import generation_pb2, memory_pb2, model_pb2, session_pb2

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True)
class Method(Generic[Request, Response]):
    path: str
    request: type[Request]
    response: type[Response]


_GENERATION = "/ssmd.v1.GenerationService"
GENERATE = Method(
    f"{_GENERATION}/Generate", generation_pb2.GenerateRequest, generation_pb2.GenerateResponse
)
SCORE = Method(f"{_GENERATION}/Score", generation_pb2.ScoreRequest, generation_pb2.ScoreResponse)
ENCODE = Method(
    f"{_GENERATION}/Encode", generation_pb2.EncodeRequest, generation_pb2.EncodeResponse
)
TOKENIZE = Method(
    f"{_GENERATION}/Tokenize", generation_pb2.TokenizeRequest, generation_pb2.TokenizeResponse
)
DETOKENIZE = Method(
    f"{_GENERATION}/Detokenize", generation_pb2.DetokenizeRequest, generation_pb2.DetokenizeResponse
)

_MODEL = "/ssmd.v1.ModelService"
LIST_MODELS = Method(
    f"{_MODEL}/ListModels", model_pb2.ListModelsRequest, model_pb2.ListModelsResponse
)
GET_MODEL = Method(f"{_MODEL}/GetModel", model_pb2.GetModelRequest, model_pb2.GetModelResponse)

MEMORY = Method(
    "/ssmd.v1.MemoryService/Memory", memory_pb2.MemoryRequest, memory_pb2.MemoryResponse
)

_SESSION = "/ssmd.v1.SessionService"
CREATE = Method(
    f"{_SESSION}/CreateSession",
    session_pb2.CreateSessionRequest,
    session_pb2.CreateSessionResponse,
)
GET = Method(
    f"{_SESSION}/GetSession", session_pb2.GetSessionRequest, session_pb2.GetSessionResponse
)
LIST = Method(
    f"{_SESSION}/ListSessions", session_pb2.ListSessionsRequest, session_pb2.ListSessionsResponse
)
FORK = Method(
    f"{_SESSION}/ForkSession", session_pb2.ForkSessionRequest, session_pb2.ForkSessionResponse
)
REWIND = Method(
    f"{_SESSION}/RewindSession", session_pb2.RewindSessionRequest, session_pb2.RewindSessionResponse
)
CHECKPOINT = Method(
    f"{_SESSION}/CheckpointSession",
    session_pb2.CheckpointSessionRequest,
    session_pb2.CheckpointSessionResponse,
)
DELETE = Method(
    f"{_SESSION}/DeleteSession",
    session_pb2.DeleteSessionRequest,
    session_pb2.DeleteSessionResponse,
)
EXPORT = Method(
    f"{_SESSION}/ExportSession",
    session_pb2.ExportSessionRequest,
    session_pb2.ExportSessionResponse,
)
IMPORT = Method(
    f"{_SESSION}/ImportSession",
    session_pb2.ImportSessionRequest,
    session_pb2.ImportSessionResponse,
)
