/** Lets Perl measure itself: no start of a program and no pipe is in its figure. */

import { mustRun } from '../rig/run-program.ts'

/**
 * @param file read into memory before the clock starts, as `$data`
 * @param work done `passes` times; what it leaves in `$bytes` is added up, and is compared with `expectedBytes`
 * @returns seconds of one pass
 */
export const perlSeconds = async (
  file: string,
  work: string,
  passes: number,
  expectedBytes: number,
): Promise<number> => {
  const script = `
use strict; use MIME::Base64; use Time::HiRes qw(clock);
open(my $in, '<:raw', $ARGV[0]) or die; local $/; my $data = <$in>; my $length = length $data; my $total = 0;
my $begin = clock();
for (1 .. $ARGV[1]) { my $bytes = 0; ${work} $total += $bytes; }
printf "%.9f %d", (clock() - $begin) / $ARGV[1], $total / $ARGV[1];
`
  const { stdout } = await mustRun('perl', ['-e', script, file, String(passes)])
  const [seconds, bytes] = stdout.toString().split(' ').map(Number)
  if (bytes !== expectedBytes) throw new Error(`Perl made ${bytes} bytes, expected ${expectedBytes}`)
  return seconds ?? Number.NaN
}
