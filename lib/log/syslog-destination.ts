/**
 * Lines to syslog, through a program that can speak to it: /dev/log takes datagrams, Node sends none there.
 *
 * What starts the program is handed in; here is what it is given, line by line on its
 * standard input. Lines are cut: a syslog daemon may take no more than 2 kB.
 */

import type { LogDestination } from './destination.ts'
import { type LinePipe, pipeDestination } from './line-pipe.ts'
import { cutLine, withPriority } from './priority.ts'

/** With what goes before it on the wire it stays under 2 kB. Source: RFC 5424, 6.1: 2048 bytes ought to be taken. */
export const MAX_SYSLOG_LINE_BYTES = 1900

/** @param startLogger starts `logger`, whose lines begin with `<N>`; undefined where there is none */
export const syslogDestination = (startLogger: () => LinePipe | undefined, nowMs?: () => number): LogDestination =>
  pipeDestination(startLogger, (line) => withPriority(cutLine(line, MAX_SYSLOG_LINE_BYTES)), nowMs)
