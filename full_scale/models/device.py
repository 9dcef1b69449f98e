"""The device that an option names."""

import argparse
import os
import warnings

import torch


def usable_device(text: str) -> torch.device:
    """Type of an option that names a device, as in cuda:1; "auto" uses a GPU if there is one.

    Of several GPUs, "auto" takes the one of this process's number on its machine.

    Raises:
        argparse.ArgumentTypeError: If torch does not know the device, or cannot compute on it here.
    """
    if text == "auto":
        gpu = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        text = gpu if torch.cuda.is_available() else "cpu"
    try:
        with warnings.catch_warnings(action="ignore"):  # about old names of devices
            device = torch.device(text)
            torch.zeros(1, device=device).item()  # the device "meta" has no values
    except Exception:  # each device has its own error
        known = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise argparse.ArgumentTypeError(
            f"must be a device that torch can use here, as {', '.join(known)}; got {text!r}"
        ) from None
    return device
