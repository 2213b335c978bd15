# The package ships no types; to the type checker every name in it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
