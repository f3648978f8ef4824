<?php
// SPDX-License-Identifier: Apache-2.0
// Compares both passes of the demo with what is claimed and prints the table: demo/report.php WORK. Exit status 1 when
// something is not as claimed. Writes the id of a detection worth explaining to WORK/explain.
$work = $argv[1];
$master = (int)file_get_contents("$work/fpm.pid");

function steps(string $work, string $pass): array
{
    $steps = [];
    foreach (file("$work/steps-$pass", FILE_IGNORE_NEW_LINES) as $line) {
        [$name, $begin, $end, $seconds, $effect, $shown] = array_pad(explode("\t", $line), 6, '');
        $steps[$name] = compact('begin', 'end', 'seconds', 'effect', 'shown');
    }
    return $steps;
}

// Detections below our php-fpm, each with its verdict; and denied connections.
function detections(string $work, string $pass, int $master): array
{
    $found = [];
    foreach (file("$work/$pass.json") as $line) {
        $d = json_decode($line, true, 64, JSON_BIGINT_AS_STRING | JSON_INVALID_UTF8_SUBSTITUTE);
        if (!isset($d['rule_id'])) continue;
        $pids = array_map(fn($p) => $p['id']['pid'], $d['tree'] ?? []);
        if (in_array($master, $pids)) $found[] = $d;
    }
    return $found;
}

// RFC 3339 with nanoseconds to nanoseconds since 1970.
function nanoseconds(string $time): int
{
    preg_match('/^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/', $time, $m);
    return strtotime($m[1] . $m[3]) * 1000000000 + (int)str_pad($m[2], 9, '0');
}

function during(array $detections, array $step): array
{
    return array_filter($detections, fn($d) => nanoseconds($d['time']) >= (int)$step['begin'] &&
                                               nanoseconds($d['time']) <= (int)$step['end']);
}

// What was done to the first that was stopped: the rule that asked for it, not one that only says detect.
function mechanism(array $detections): ?array
{
    foreach ($detections as $d) {
        $v = $d['verdict'] ?? [];
        if (($v['wanted'] ?? 'allow') !== 'allow' && ($v['action'] ?? 'allow') !== 'allow')
            return ['id' => $d['id'], 'rule' => $d['rule_title'], 'verdict' => $v];
    }
    return null;
}

$detect = steps($work, 'detect');
$prevent = steps($work, 'prevent');
$seen = detections($work, 'detect', $master);
$stopped = detections($work, 'prevent', $master);
$wrong = [];
printf("  %-24s %-28s %s\n", '', 'watched only', 'prevented');
foreach ($detect as $name => $a) {
    if (str_starts_with($name, 'agent-')) continue;
    $b = $prevent[$name] ?? ['effect' => '?', 'begin' => 0, 'end' => 0, 'seconds' => 0, 'shown' => ''];
    $benign = str_starts_with($name, 'benign');
    $home = $name === 'call home from PHP'; // no program is started: refused by the cgroup program, without a rule
    $inside = $name === 'PHP reads the folder'; // nor here: the open is refused by the list of protected folders
    $n = count(during($seen, $a));
    $left = sprintf('%s, %d ms, %s', $a['effect'] === 'yes' ? ($benign ? 'works' : 'succeeds') : 'FAILS',
                    $a['seconds'] * 1000, $home ? 'in journal' : ($inside && !$n ? 'not seen' : "$n detections"));
    $m = mechanism(during($stopped, $b));
    if ($benign) {
        $right = sprintf('%s, %d ms%s', $b['effect'] === 'yes' ? 'works' : 'BROKEN', $b['seconds'] * 1000,
                         $m ? ', REFUSED by ' . $m['rule'] : '');
        if ($a['effect'] !== 'yes' || $b['effect'] !== 'yes' || $m) $wrong[] = "$name must work";
    } elseif ($home) {
        $right = $b['effect'] === 'no' ? 'connection refused (cgroup program), page empty' : 'SUCCEEDS';
        if ($a['effect'] !== 'yes' || $b['effect'] !== 'no') $wrong[] = "$name must be refused";
    } elseif ($inside) {
        $right = $b['effect'] !== 'no' ? 'SUCCEEDS' : (!$m ? 'NO VERDICT' : sprintf('the open is refused (%s, %d µs), page %s',
            $m['verdict']['mechanism'] ?? '?', ($m['verdict']['latency'] ?? 0) / 1000,
            $b['shown'] === '' ? 'empty' : "shows: {$b['shown']}"));
        if ($a['effect'] !== 'yes') $wrong[] = "$name must succeed while nothing is prevented";
        if ($b['effect'] !== 'no' || !$m) $wrong[] = "$name must be refused";
    } else {
        $before = $m && !empty($m['verdict']['before_first_instruction']);
        $right = $b['effect'] !== 'no' ? 'SUCCEEDS' : (!$m ? 'NO VERDICT' : sprintf(
            '%s first instruction (%s, %d µs), page %s', $before ? 'refused before its' : 'STOPPED AFTER ITS',
            $m['verdict']['mechanism'] ?? '?', ($m['verdict']['latency'] ?? 0) / 1000,
            $b['shown'] === '' ? 'empty' : "shows: {$b['shown']}"));
        if ($a['effect'] !== 'yes') $wrong[] = "$name must succeed while nothing is prevented";
        if ($n === 0) $wrong[] = "$name must be detected";
        if ($b['effect'] !== 'no' || !$before) $wrong[] = "$name must be refused before its first instruction";
        if ($m && !file_exists("$work/explain")) file_put_contents("$work/explain", $m['id']);
    }
    printf("  %-24s %-28s %s\n", $name, $left, $right);
}
foreach ([...array_keys($detect), ...array_keys($prevent)] as $name)
    if (str_starts_with($name, 'agent-')) $wrong[] = "$name: " . ($detect[$name] ?? $prevent[$name])['effect'];
if (count($detect) < 13 || count($prevent) < 13) $wrong[] = 'a step is missing';
foreach (array_unique($wrong) as $line) echo "  NOT AS CLAIMED: $line\n";
exit($wrong ? 1 : 0);
