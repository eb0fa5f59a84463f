"""Results of runs that never were."""


def result(commit="a" * 40, processor="one", gpus=(), keras="3.15.1"):
    """What a result says of where it was made."""
    packages = {"tensorflow": "2.21.0", "keras": keras}
    made = {"packages": packages, "python": "3.11.7", "gpus": list(gpus), "cores": 2}
    return {"environment": made | {"processor": processor, "commit": commit}}
