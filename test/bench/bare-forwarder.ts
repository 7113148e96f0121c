/**
 * A program of Node that forwards the output of another one to a client and looks at nothing: what Node, pipes and loopback allow here.
 *
 *     node bare-forwarder.js PROGRAM [ARGUMENT …]      says the port on its standard output, serves one client, ends
 *
 * It reads in pieces of up to 256 KiB into buffers that it uses again, as nothing can that has to keep what it has read.
 */

import { spawn } from 'node:child_process'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'

import { makeMemoryDirectory } from './memory-directory.ts'

const READ_BYTES = 256 * 1024

const forward = async (client: Socket, program: string, words: readonly string[]): Promise<void> => {
  const { path: directory, remove } = makeMemoryDirectory()
  const pair = createServer({ pauseOnConnect: true }).listen(join(directory, 'pair'))
  const free: Buffer[] = []
  const accepted = once(pair, 'connection') as Promise<[Socket]>
  const source = connect({
    path: join(directory, 'pair'),
    onread: {
      buffer: () => free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (bytes, buffer) => {
        const hasRoom = client.write(buffer.subarray(0, bytes), () => free.push(buffer as Buffer))
        if (!hasRoom) client.once('drain', () => source.resume())
        return hasRoom
      },
    },
  })
  const [theirs] = await accepted
  pair.close()
  spawn(program, words, { stdio: ['ignore', theirs, 'ignore'] })
  theirs.destroy()
  await once(source, 'end')
  client.end()
  await remove()
}

const [program = '', ...words] = process.argv.slice(2)
const server = createServer((client) => {
  server.close()
  void forward(client, program, words)
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
