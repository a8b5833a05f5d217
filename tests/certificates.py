"""Certificates that nobody but a test trusts."""

import subprocess
from pathlib import Path


def make(folder: Path, *names: str) -> None:
    """One for the names in cert.pem, its key in key.pem."""
    files = f"-keyout {folder / 'key.pem'} -out {folder / 'cert.pem'}"
    kind = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    also = ",".join(f"DNS:{name}" for name in names)
    whose = f"-subj /CN={names[0]} -addext subjectAltName={also}"
    command = f"openssl req -x509 {kind} {whose} {files}"
    subprocess.run(command.split(), check=True, capture_output=True)
