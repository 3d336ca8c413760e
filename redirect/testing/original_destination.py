"""Stands in for Envoy in tests: where a connection was going before the kernel redirected it.

listen PORT...        accepts on all addresses, answers "PORT <original destination>", then repeats what it gets
connect HOST PORT [PRIORITY]  prints the first line it is answered, or why there was none; PRIORITY is the socket's SO_PRIORITY
talk HOST PORT        sends "ping N" every 20 ms and prints each answer, until the connection breaks
"""

import socket
import struct
import sys
import threading
import time

SO_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h; the same number as IP6T_SO_ORIGINAL_DST


def original_destination(connection):
    """Where the connection was going, `ADDRESS:PORT`; "itself" when nobody redirected it."""
    own = connection.getsockname()
    if connection.family == socket.AF_INET6 and not own[0].startswith("::ffff:"):
        raw = connection.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        host, shown = socket.inet_ntop(socket.AF_INET6, raw[8:24]), "[%s]:%d"
    else:
        raw = connection.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)
        host, shown = socket.inet_ntop(socket.AF_INET, raw[4:8]), "%s:%d"
    port = struct.unpack("!H", raw[2:4])[0]
    if own[0].replace("::ffff:", "") == host and own[1] == port:
        return "itself"
    return shown % (host, port)


def serve(connection, port):
    with connection:
        try:
            destination = original_destination(connection)
        except OSError:
            destination = "itself"
        connection.sendall(("%d %s\n" % (port, destination)).encode())
        while True:
            received = connection.recv(4096)
            if not received:
                return
            connection.sendall(received)


def accept(listener, port):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, port), daemon=True).start()


def listen(ports):
    threads = []
    for port in ports:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
        threads.append(threading.Thread(target=accept, args=(listener, port), daemon=True))
    for thread in threads:
        thread.start()
    print("listening", flush=True)
    for thread in threads:
        thread.join()


def dial(host, port, priority):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, priority)
    connection.settimeout(5)
    connection.connect((host, port))
    return connection


def main(verb, *arguments):
    if verb == "listen":
        listen([int(port) for port in arguments])
        return
    host, port = arguments[0], int(arguments[1])
    try:
        priority = int(arguments[2]) if len(arguments) > 2 else 0
        with dial(host, port, priority) as connection:
            replies = connection.makefile("r")
            print(replies.readline().strip(), flush=True)
            number = 0
            while verb == "talk":
                number += 1
                connection.sendall(b"ping %d\n" % number)
                answer = replies.readline().strip()
                print(answer if answer else "broken: end of stream", flush=True)
                if not answer:
                    return
                time.sleep(0.02)
    except ConnectionRefusedError:
        print("refused", flush=True)
    except OSError as error:
        print("broken: %s" % error, flush=True)


main(*sys.argv[1:])
