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


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the type that matrix products of a network are computed in.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        "auto" is bfloat16 on CUDA and on CPUs with matrix units for it (AMX), else float32.
    device : torch.device

    Raises
    ------
    InputError
        For another name.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise InputError(f"precision {precision!r} is unknown: use auto, float32 or bfloat16")
    if precision == "auto":
        fast = device.type == "cuda" or torch.cpu.get_capabilities().get("amx_bf16", False)
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
