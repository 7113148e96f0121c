/**
 * Looks at everything that a backup depends on, and makes none.
 *
 *     host     node, user, helpers, compressors, port, state, history, clock, open files
 *     server   engine, login, grants, versions, data directory, spool, spill, redo log
 *
 * Every look stands for itself: one that finds something bad hides no other. What depends
 * on an answer that did not come is left out. Nothing is changed, on the host or the server.
 */

import { hostGuards } from '../engines/index.ts'
import { checkPort } from './agent-port.ts'
import { checkClock } from './clock.ts'
import { checkDataDirectory, type Survey, surveyDataDirectory } from './data-directory.ts'
import { checkVersions, lookForEngine } from './engine.ts'
import type { Finding } from './finding.ts'
import { checkCompressors, checkGuards } from './host-programs.ts'
import { checkNode } from './node-version.ts'
import { checkOpenFiles } from './open-files.ts'
import { checkUser } from './own-user.ts'
import type { Patient } from './patient.ts'
import { checkRedoLog } from './redo-log.ts'
import { lookAtServer, type ServerLook } from './server.ts'
import { checkState } from './state-directory.ts'
import { checkWaitingRoom } from './waiting-room.ts'

/** Never rejects for what it finds; only a bug is thrown. */
export const examine = async (patient: Patient): Promise<Finding[]> => {
  const { settings, nowMs } = patient
  const memory = await checkState(settings.stateDirectory)
  const { finding: engine, identity } = await lookForEngine(settings)
  const server = identity?.name === 'directory' ? undefined : await lookAtServer(loginOf(patient), patient.sample)
  const survey = await surveyOf(patient, server)
  return [
    checkNode(process.versions.node),
    checkUser(settings.stateDirectory),
    engine,
    ...(server?.findings ?? []),
    ...(identity === undefined || server?.facts === undefined ? [] : [checkVersions(identity, server.facts)]),
    ...(survey === undefined ? [] : [checkDataDirectory(survey)]),
    ...(await checkWaitingRoom(settings, survey)),
    ...redoFindings(server, survey, memory.jobs),
    checkGuards(hostGuards()),
    await checkCompressors(),
    checkOpenFiles(survey?.tables ?? 0),
    await checkPort(settings, patient.ping),
    ...memory.findings,
    checkClock({ nowMs, jobs: memory.jobs, newestFileMs: survey?.newestMs }),
  ]
}

const loginOf = ({ settings: { socket, defaultsFile }, login }: Patient): Parameters<typeof lookAtServer>[0] => ({
  ...login,
  socket,
  defaultsFile,
})

/** Where the data is: the server knows best. */
const surveyOf = async ({ settings }: Patient, server: ServerLook | undefined): Promise<Survey | undefined> => {
  const directory = server?.facts?.dataDirectory ?? settings.datadir ?? settings.directory
  return directory === undefined ? undefined : surveyDataDirectory(directory)
}

const redoFindings = (
  server: ServerLook | undefined,
  survey: Survey | undefined,
  jobs: Parameters<typeof checkRedoLog>[0]['jobs'],
): Finding[] => {
  const [capacityBytes, writtenPerSecond] = [survey?.redoBytes, server?.writtenPerSecond]
  if (survey === undefined || capacityBytes === undefined || writtenPerSecond === undefined) return []
  return [checkRedoLog({ capacityBytes, dataBytes: survey.bytes, writtenPerSecond, jobs })]
}
