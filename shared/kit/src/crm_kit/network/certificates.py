"""What is wrong with a server's certificate."""

import ssl

_NOT_THE_NAME = (62, 64)
"""OpenSSL's codes for a trusted certificate that names another host, or another address."""


def names_another(error: ssl.SSLCertVerificationError) -> bool:
    """Whether the certificate is trusted, but is not for the host that was asked for."""
    return error.verify_code in _NOT_THE_NAME
