"""The six parameter services of a node."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from .exceptions import ParameterNotDeclaredException, ParameterUninitializedException
from .messages import message_class, service_class
from .parameter import Parameter
from .qos import qos_profile_parameters

if TYPE_CHECKING:
    from .node import Node

_SERVICES = {
    "describe_parameters": "DescribeParameters",
    "get_parameter_types": "GetParameterTypes",
    "get_parameters": "GetParameters",
    "list_parameters": "ListParameters",
    "set_parameters": "SetParameters",
    "set_parameters_atomically": "SetParametersAtomically",
}


class ParameterService:
    """Answers `ros2 param` for one node."""

    def __init__(self, node: Node) -> None:
        self._node_reference = weakref.ref(node)
        for name, kind in _SERVICES.items():
            node.create_service(
                service_class(f"rcl_interfaces/srv/{kind}"),
                f"{node.get_name()}/{name}",
                getattr(self, f"_{name}"),
                qos_profile=qos_profile_parameters,
            )

    @property
    def _node(self) -> Node:
        node = self._node_reference()
        assert node is not None, "the node owns its services"
        return node

    def _describe_parameters(self, request: Any, response: Any) -> Any:
        try:
            response.descriptors = self._node.describe_parameters(request.names)
        except ParameterNotDeclaredException:
            response.descriptors = []
        return response

    def _get_parameters(self, request: Any, response: Any) -> Any:
        try:
            found = self._node.get_parameters(request.names)
            response.values = [p.get_parameter_value() for p in found]
        except (ParameterNotDeclaredException, ParameterUninitializedException):
            response.values = []
        return response

    def _get_parameter_types(self, request: Any, response: Any) -> Any:
        try:
            response.types = [int(t) for t in self._node.get_parameter_types(request.names)]
        except ParameterNotDeclaredException:
            response.types = []
        return response

    def _list_parameters(self, request: Any, response: Any) -> Any:
        response.result = self._node.list_parameters(request.prefixes, request.depth)
        return response

    def _set_parameters(self, request: Any, response: Any) -> Any:
        response.results = [self._set([p]) for p in request.parameters]
        return response

    def _set_parameters_atomically(self, request: Any, response: Any) -> Any:
        response.result = self._set(request.parameters)
        return response

    def _set(self, messages: list[Any]) -> Any:
        try:
            parameters = [Parameter.from_parameter_msg(m) for m in messages]
            return self._node.set_parameters_atomically(parameters)
        except (ParameterNotDeclaredException, ValueError) as error:
            # ValueError: a type number that does not exist, sent by a broken client
            result = message_class("rcl_interfaces/msg/SetParametersResult")
            return result(successful=False, reason=str(error))
