from ..sources.conftest import world

__all__ = ["world"]
