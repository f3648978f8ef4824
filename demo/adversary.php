<?php
// SPDX-License-Identifier: Apache-2.0
// The demo's adversary, on 127.66.0.1 only: serves one file and one greeting, and talks to whatever shell calls. Writes
// its ports, and a free one for the web server, into WORK/ports. Ends after ten minutes whatever happens.
$work = $argv[1];
$web = stream_socket_server('tcp://127.66.0.1:0');
$shell = stream_socket_server('tcp://127.66.0.1:0');
$free = stream_socket_server('tcp://127.0.0.1:0');
if (!$web || !$shell || !$free) exit(1);
$port = fn($s) => (int)substr(strrchr(stream_socket_get_name($s, false), ':'), 1);
$ports = "{$port($web)} {$port($shell)} {$port($free)}\n";
fclose($free);
file_put_contents("$work/ports.new", $ports);
rename("$work/ports.new", "$work/ports");

$end = time() + 600;
while (time() < $end) {
    $ready = [$web, $shell];
    $none = null;
    if (!stream_select($ready, $none, $none, 1)) continue;
    foreach ($ready as $listener) {
        $peer = @stream_socket_accept($listener, 1);
        if (!$peer) continue;
        stream_set_timeout($peer, 3);
        if ($listener === $web) {
            $what = str_contains((string)fgets($peer), '/update') ? file_get_contents("$work/payload/update")
                                                                  : 'hello from the adversary';
            fwrite($peer, "HTTP/1.0 200 OK\r\nContent-Length: " . strlen($what) . "\r\n\r\n$what");
        } else {
            fwrite($peer, "id\nexit\n");
            file_put_contents("$work/shells", stream_get_contents($peer, 4096), FILE_APPEND);
        }
        fclose($peer);
    }
}
