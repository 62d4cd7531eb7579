"""Where tensors live: the CPU everywhere, CUDA where there is one."""

import torch

from leaplib.errors import InputError


def resolve_device(device: str = "auto") -> torch.device:
    """Return the torch device for "auto", "cpu" or "cuda".

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" is CUDA where torch sees it, else the CPU.

    Raises
    ------
    InputError
        For another name, or for "cuda" on a machine without it.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r} is unknown: use auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda' was asked for, but torch sees no GPU: use auto or cpu")
    # Denormals slow first-order solvers down some twenty times and change no result.
    torch.set_flush_denormal(True)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
