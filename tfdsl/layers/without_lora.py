"""What sparse layers do about Keras's LoRA."""

from typing import Any, NoReturn


class WithoutLora:
    """Put before a Keras layer's class: refuses the LoRA which that layer offers.

    LoRA freezes the kernel and trains two small dense matrices beside it: of what is masked nothing
    is trained, and the sum of kernel and matrices is not sparse.
    """

    name: str
    built: bool
    lora_rank: int | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.lora_rank:
            self.enable_lora(self.lora_rank)

    def enable_lora(self, rank: int, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises a ValueError."""
        raise ValueError(
            f"The {type(self).__name__} layer {self.name!r} takes no LoRA, received rank {rank}: "
            "LoRA trains small dense matrices beside a frozen kernel, so nothing is left to train "
            "sparse. Leave lora_rank out, or use Keras's own Dense or Embedding layer."
        )
