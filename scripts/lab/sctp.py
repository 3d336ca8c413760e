"""The beginning of an SCTP association, by hand: INIT and INIT ACK (RFC 9260, 3.3.2 and 3.3.3) over raw sockets.

It is what a proxy sees of an association when it decides, and it works on kernels without SCTP sockets. The answer stands
where the state cookie would. Needs CAP_NET_RAW.
"""

import os
import socket
import struct

IPPROTO_SCTP = 132
_INIT, _INIT_ACK, _STATE_COOKIE = 1, 2, 7
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


def _packet(source_port, port, tag, chunk):
    def header(checksum):
        return struct.pack("!HHI", source_port, port, tag) + struct.pack("<I", checksum)

    crc = 0xFFFFFFFF
    for byte in header(0) + chunk:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return header(crc ^ 0xFFFFFFFF) + chunk


def _chunk(kind, tag, parameter=b""):
    body = struct.pack("!IIHHI", tag, 65536, 1, 1, 1) + parameter
    padding = b"\0" * (-len(body) % 4)
    return struct.pack("!BBH", kind, 0, 4 + len(body)) + body + padding


def raw_socket(family):
    """A socket for whole SCTP packets."""
    return socket.socket(family, socket.SOCK_RAW, IPPROTO_SCTP)


def init(source_port, port):
    """The packet that asks for an association."""
    tag = int.from_bytes(os.urandom(4), "big") | 1
    return _packet(source_port, port, 0, _chunk(_INIT, tag))


def parse(family, raw):
    """(source port, port, chunk type, initiate tag, state cookie), or None for what is no INIT or INIT ACK."""
    packet = raw[(raw[0] & 15) * 4 :] if family == socket.AF_INET else raw
    if len(packet) < 32 or packet[12] not in (_INIT, _INIT_ACK):
        return None
    source_port, port = struct.unpack("!HH", packet[:4])
    (length,) = struct.unpack("!H", packet[14:16])
    (tag,) = struct.unpack("!I", packet[16:20])
    cookie = b""
    if length >= 24 and struct.unpack("!H", packet[32:34])[0] == _STATE_COOKIE:
        (size,) = struct.unpack("!H", packet[34:36])
        cookie = packet[36 : 32 + size]
    return source_port, port, packet[12], tag, cookie


def is_init(parsed):
    return parsed[2] == _INIT


def init_ack(parsed, answer):
    """The packet that answers an INIT."""
    source_port, port, _, tag, _ = parsed
    padding = b"\0" * (-len(answer) % 4)
    cookie = struct.pack("!HH", _STATE_COOKIE, 4 + len(answer)) + answer + padding
    return _packet(port, source_port, tag, _chunk(_INIT_ACK, 1, cookie))
