"""Endpoints and their clients for tests of the kernel's balancing.

serve PROTOCOL PORT ADDRESS...       answers on each address "ADDRESS asked by SOURCE"; PROTOCOL is tcp, udp or sctp
ask PROTOCOL HOST PORT [COUNT [SOURCE]]  asks so many times, each from a port of its own, and prints the answers with how often
                                     each came; "refused", "not permitted" and "silence" are answers
talk udp HOST PORT                   keeps asking every 100 ms from one port, and prints who answers whenever that changes,
                                     "1 ADDRESS", "2 ADDRESS" and so on; "refused" is an answer, silence is not

SCTP is spoken by hand, over raw sockets, since few kernels have it: one INIT chunk is a question, and the answer is an INIT ACK.
"""

import collections
import random
import select
import socket
import struct
import sys
import threading
import time

PATIENCE = 0.8
FIRST_SCTP_PORT = random.randrange(10000, 60000)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve_tcp(listener, address):
    while True:
        connection, peer = listener.accept()
        with connection:
            connection.sendall(("%s asked by %s\n" % (address, peer[0])).encode())


def serve_udp(listener, address):
    while True:
        _, peer = listener.recvfrom(2048)
        listener.sendto(("%s asked by %s\n" % (address, peer[0])).encode(), peer)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp_packet(source_port, port, tag, chunk_type, note=b""):
    """An INIT or INIT ACK chunk (RFC 9260, section 3.3), with a note as an unknown parameter that is to be skipped."""
    parameters = struct.pack("!HH", 0x8888, 4 + len(note)) + note if note else b""
    padding = b"\0" * (-len(parameters) % 4)
    chunk = struct.pack("!BBHIIHHI", chunk_type, 0, 20 + len(parameters), 1, 65536, 1, 1, 1) + parameters + padding
    header = struct.pack("!HHI", source_port, port, tag)
    return header + struct.pack("<I", crc32c(header + b"\0\0\0\0" + chunk)) + chunk


def sctp_payload(family, packet):
    return packet[(packet[0] & 15) * 4:] if family == socket.AF_INET else packet


def serve_sctp(raw, address, port):
    family = family_of(address)
    while True:
        packet, peer = raw.recvfrom(4096)
        sctp = sctp_payload(family, packet)
        source_port, to_port = struct.unpack("!HH", sctp[:4])
        if to_port != port or sctp[12] != 1:
            continue
        note = ("%s asked by %s" % (address, peer[0])).encode()
        raw.sendto(sctp_packet(port, source_port, 1, 2, note), (peer[0], 0))


def serve(protocol, port, addresses):
    threads = []
    for address in addresses:
        family = family_of(address)
        if protocol == "tcp":
            listener = socket.create_server((address, port), family=family, backlog=512)
            work, arguments = serve_tcp, (listener, address)
        elif protocol == "udp":
            listener = socket.socket(family, socket.SOCK_DGRAM)
            listener.bind((address, port))
            work, arguments = serve_udp, (listener, address)
        else:
            listener = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_SCTP)
            listener.bind((address, 0))
            work, arguments = serve_sctp, (listener, address, port)
        threads.append(threading.Thread(target=work, args=arguments, daemon=True))
    for thread in threads:
        thread.start()
    print("serving", flush=True)
    for thread in threads:
        thread.join()


def ask_tcp(host, port, source):
    with socket.socket(family_of(host), socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        if source:
            connection.bind((source, 0))
        connection.connect((host, port))
        return connection.makefile("r").readline().strip()


def ask_udp(host, port, source):
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as connection:
        connection.settimeout(PATIENCE)
        if source:
            connection.bind((source, 0))
        connection.connect((host, port))
        connection.send(b"?")
        return connection.recv(2048).decode().strip()


def ask_sctp(host, port, source, number):
    family = family_of(host)
    # Another for each: conntrack knows the ones that were used a moment ago.
    own_port = FIRST_SCTP_PORT + number
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_SCTP) as raw:
        if source:
            raw.bind((source, 0))
        raw.sendto(sctp_packet(own_port, port, 0, 1), (host, 0))
        while select.select([raw], [], [], PATIENCE)[0]:
            packet, peer = raw.recvfrom(4096)
            sctp = sctp_payload(family, packet)
            from_port, to_port = struct.unpack("!HH", sctp[:4])
            # The answer has to come from where the question went.
            if (from_port, to_port) == (port, own_port) and sctp[12] == 2 and peer[0] == host:
                length = struct.unpack("!H", sctp[34:36])[0]
                return sctp[36:32 + length].decode()
        raise socket.timeout


def ask(protocol, host, port, count=1, source=""):
    answers = collections.Counter()
    for number in range(count):
        try:
            if protocol == "sctp":
                answer = ask_sctp(host, port, source, number)
            else:
                answer = (ask_tcp if protocol == "tcp" else ask_udp)(host, port, source)
        except ConnectionRefusedError:
            answer = "refused"
        except socket.timeout:
            answer = "silence"
        except PermissionError:
            # What a program of the node itself is told at once, where its packet is dropped or refused on its way out.
            answer = "not permitted"
        except OSError as error:
            answer = "broken: %s" % error
        answers[answer] += 1
    for answer, times in sorted(answers.items()):
        print("%s\t%d" % (answer, times))


def talk(host, port):
    said, changes = None, 0
    with socket.socket(family_of(host), socket.SOCK_DGRAM) as connection:
        connection.connect((host, port))
        while True:
            try:
                # Answers to questions that were given up belong to the past.
                connection.settimeout(0)
                while connection.recv(2048):
                    pass
            except (BlockingIOError, ConnectionRefusedError):
                pass
            try:
                connection.settimeout(0.2)
                connection.send(b"?")
                answer = connection.recv(2048).decode().split()[0]
            except ConnectionRefusedError:
                answer = "refused"
            except socket.timeout:
                continue
            if answer != said:
                changes += 1
                print("%d %s" % (changes, answer), flush=True)
            said = answer
            time.sleep(0.1)


verb, protocol, *rest = sys.argv[1:]
if verb == "serve":
    serve(protocol, int(rest[0]), rest[1:])
elif verb == "talk":
    talk(rest[0], int(rest[1]))
else:
    ask(protocol, rest[0], int(rest[1]), int(rest[2]) if len(rest) > 2 else 1, rest[3] if len(rest) > 3 else "")
