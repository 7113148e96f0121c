/**
 * A TLS client that is none of ours: Python's `ssl`, which says exactly how a connection ended.
 *
 *     finished     the agent has said in TLS that this is all (close_notify)
 *     cut          an end, or a reset, without that word
 *
 * Reads by itself, in a program of its own, with a pause before each read if it is to be slow.
 */

import { spawn } from 'node:child_process'

import { forgetProcess, watchProcess } from './guard.ts'

const PROGRAM = `
import json, socket, ssl, sys, time
o = json.loads(sys.argv[1])
c = ssl.create_default_context(cafile=o['ca'])
if 'cert' in o: c.load_cert_chain(o['cert'], o['key'])
if 'maximum' in o:
  c.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
  c.maximum_version = getattr(ssl.TLSVersion, o['maximum'])
  if o['maximum'] in ('TLSv1', 'TLSv1_1'): c.set_ciphers('ALL:@SECLEVEL=0')
out = sys.stdout.buffer
def end(how):
  out.flush()
  sys.stderr.write(how)
  sys.exit()
try:
  raw = socket.create_connection(('127.0.0.1', o['port']))
  s = c.wrap_socket(raw, server_hostname=o['name'], suppress_ragged_eofs=False)
  s.sendall(sys.stdin.buffer.read())
  while True:
    if o['pause']: time.sleep(o['pause'])
    b = s.recv(65536)
    if not b: end('finished')
    out.write(b); out.flush()
except ssl.SSLCertVerificationError as e: end('untrusted: ' + e.verify_message)
except ssl.SSLEOFError: end('cut')
except (ConnectionResetError, BrokenPipeError): end('cut')
except ssl.SSLError as e: end('refused: ' + str(e.reason))
`

export interface TlsReaderOptions {
  readonly port: number
  readonly request: string
  readonly ca: string
  readonly cert?: string
  readonly key?: string
  readonly name?: string
  readonly pauseMs?: number
  /** A version of Python's `ssl.TLSVersion`. */
  readonly maximum?: string
}

export interface TlsReading {
  readonly bytes: Buffer
  /** `finished`, `cut`, or why there was no connection. */
  readonly ended: string
}

export interface TlsReader {
  hasReceived(bytes: number): Promise<void>
  ended(): Promise<TlsReading>
}

export const tlsReader = ({ request, pauseMs = 0, name = 'localhost', ...options }: TlsReaderOptions): TlsReader => {
  const words = JSON.stringify({ ...options, name, pause: pauseMs / 1000 })
  const child = spawn('python3', ['-W', 'ignore', '-c', PROGRAM, words], { stdio: ['pipe', 'pipe', 'pipe'] })
  if (child.pid !== undefined) watchProcess(child.pid, 'python3')
  const chunks: Buffer[] = []
  const news = new Set<() => void>()
  let length = 0
  let said = ''
  child.stdin.on('error', () => undefined).end(request)
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
      return { bytes: Buffer.concat(chunks), ended: said }
    },
  }
}
