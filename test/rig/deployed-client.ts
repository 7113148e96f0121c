/**
 * What a deployed client of 0.76 does: sends its whole configuration, reads READY and one block, decodes, unpacks with tar.
 *
 *     const { block, archive } = await askAs076(agent.port, { 'backup-level': '1', sid })
 *     unpack(archive, directory)
 *
 * It knows what such clients know, and nothing of how the agent works.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'

import { createDecoder } from '../../lib/encodings/index.ts'
import { AnswerReader, type KvBlock } from '../../lib/protocol/index.ts'
import { converse } from './raw-client.ts'

/** As it stands in the configuration of many; most keys are none of the agent's business. */
const CONFIGURATION: Readonly<Record<string, string>> = {
  action: 'copy from',
  'backup-level': '0',
  replication: '0',
  file: '/srv/backups/Nightly/20240311020001/ZRM_LINKS/.',
  host: 'db1.example.com',
  verbose: '1',
  'copy-plugin': '/usr/share/mysql-zrm/plugins/xtrabackup-client.pl',
  'xtrabackup-client:nagios-service': 'MySQL Backups',
  tmpdir: '/tmp',
}

export const requestOf076 = (pairs: Readonly<Record<string, string>>): string => {
  const all = Object.entries({ ...CONFIGURATION, ...pairs })
  return `0.76.1\n${all.length}\n${all.map(([key, value]) => `${key}=${value}\n`).join('')}\n`
}

export interface AnswerTo076 {
  readonly ready: boolean
  readonly block: KvBlock
  /** Decoded; empty where no stream came. */
  readonly archive: Buffer
  readonly ended: 'fin' | 'reset'
}

export const askAs076 = async (port: number, pairs: Readonly<Record<string, string>>): Promise<AnswerTo076> => {
  const { bytes, ended } = await converse(port, requestOf076(pairs))
  const answer = new AnswerReader().push(bytes)
  if (answer === undefined) throw new Error(`no answer in ${JSON.stringify(bytes.toString('latin1').slice(0, 200))}`)
  const { ready, block, rest } = answer
  if (rest.length === 0) return { ready, block, archive: rest, ended }
  const decoder = createDecoder('uuencode')
  return { ready, block, archive: Buffer.concat([...decoder.decode(rest), ...decoder.end()]), ended }
}

/** Unpacks with the client's own tar, which must like it; returns the names in the order of the archive. */
export const unpack = (archive: Buffer, directory: string): string[] => {
  mkdirSync(directory, { recursive: true })
  const run = spawnSync('tar', ['-xvf', '-', '-C', directory], { input: archive, maxBuffer: 64 * 1024 * 1024 })
  if (run.status !== 0) throw new Error(`tar exited with ${run.status}: ${run.stderr}`)
  return run.stdout.toString().split('\n').slice(0, -1)
}
