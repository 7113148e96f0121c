/** The shortest conversation: connect, ask, read to the end; with the time from connecting to the first byte. */

import { connect } from 'node:net'

export interface Asked {
  readonly answer: string
  readonly answerMs: number
}

export const ask = (port: number, request: string): Promise<Asked> =>
  new Promise((resolve, reject) => {
    const startedMs = performance.now()
    let answerMs: number | undefined
    let answer = ''
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => socket.write(request))
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      answerMs ??= performance.now() - startedMs
      answer += text
    })
    socket.on('error', reject)
    socket.on('close', () => {
      if (answerMs === undefined) reject(new Error('closed without an answer'))
      else resolve({ answer, answerMs })
    })
  })
