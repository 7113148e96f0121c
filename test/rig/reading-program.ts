/**
 * A client that reads as the deployed ones do: by read(2), in a program of its own.
 *
 * A socket of Node that is paused takes bytes from the system all the same, and drops them when a
 * reset comes behind; a program that reads when it wants to gets everything that had arrived. So
 * whoever looks at where a stream stops looks through this.
 */

import { spawn } from 'node:child_process'

import type { Conversation } from './raw-client.ts'
import { forgetProcess, watchProcess } from './guard.ts'

/** Says a request, reads with a pause before each read, passes everything on, and says how it ended. */
const PROGRAM = `
use strict; use IO::Socket::INET; binmode STDOUT; $| = 1;
my ($port, $pauseSeconds) = @ARGV;
my $request = do { local $/; <STDIN> };
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "cannot connect: $!";
syswrite $socket, $request;
while (1) {
  select undef, undef, undef, $pauseSeconds if $pauseSeconds;
  my $got = sysread $socket, my $bytes, 65536;
  if (!defined $got) { print STDERR $!{ECONNRESET} ? 'reset' : "error: $!"; last }
  if ($got == 0) { print STDERR 'fin'; last }
  print $bytes;
}
`

export interface ReadingProgram {
  /** Resolves when at least so many bytes have come, or nothing more comes. */
  hasReceived(bytes: number): Promise<void>
  /** Resolves when the agent has ended the connection, either way. */
  ended(): Promise<Conversation>
}

/** @param pauseMs before each read: what makes a reader slow */
export const readingProgram = (port: number, request: string, pauseMs: number): ReadingProgram => {
  const child = spawn('perl', ['-e', PROGRAM, `${port}`, `${pauseMs / 1000}`], { stdio: ['pipe', 'pipe', 'pipe'] })
  if (child.pid !== undefined) watchProcess(child.pid, 'perl')
  const chunks: Buffer[] = []
  const news = new Set<() => void>()
  let length = 0
  let said = ''
  child.stdin.end(request)
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    for (const tell of news) tell()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const over = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => {
      forgetProcess(child.pid ?? 0)
      resolve()
    })
  })
  return {
    hasReceived: (bytes) => {
      const enough = new Promise<void>((resolve) => {
        const look = (): void => {
          if (length >= bytes) resolve()
        }
        news.add(look)
        look()
      })
      return Promise.race([over, enough])
    },
    ended: async () => {
      await over
      if (said !== 'reset' && said !== 'fin') throw new Error(`the reading program failed: ${said}`)
      return { bytes: Buffer.concat(chunks), ended: said }
    },
  }
}
