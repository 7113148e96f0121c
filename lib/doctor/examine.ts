/**
 * Looks at everything that a backup depends on, and makes none.
 *
 *     host     node, user, helpers, compressors, host files, port, access, TLS, state, history, clock, open files
 *     server   engine, login, grants, versions, data directory, spool, spill, redo log
 *
 * Every look stands for itself: one that finds something bad hides no other. What depends
 * on an answer that did not come is left out. Nothing is changed, on the host or the server.
 */

import { hostGuards } from '../engines/index.ts'
import { checkAccess } from './access.ts'
import { checkPort } from './agent-port.ts'
import { checkClock } from './clock.ts'
import { checkDataDirectory, type Survey, surveyDataDirectory } from './data-directory.ts'
import { checkVersions, lookForEngine } from './engine.ts'
import type { Finding } from './finding.ts'
import { checkHostFiles } from './host-files.ts'
import { checkCompressors, checkGuards } from './host-programs.ts'
import { checkNode } from './node-version.ts'
import { checkOpenFiles } from './open-files.ts'
import { checkUser } from './own-user.ts'
import type { Patient, Server, ServerSettings } from './patient.ts'
import { checkRedoLog } from './redo-log.ts'
import { lookAtServer, type ServerLook } from './server.ts'
import { checkState } from './state-directory.ts'
import { checkTls } from './tls.ts'
import { checkWaitingRoom } from './waiting-room.ts'

/** Never rejects for what it finds; only a bug is thrown. */
export const examine = async (patient: Patient): Promise<Finding[]> => {
  const { settings, nowMs, servers = [{ settings }] } = patient
  const memory = await checkState(settings.stateDirectory)
  const looks: ServerFindings[] = []
  for (const server of servers) looks.push(await examineServer(patient, server, memory.jobs))
  const surveys = looks.flatMap(({ survey }) => survey ?? [])
  return [
    checkNode(process.versions.node),
    checkUser(settings.stateDirectory),
    ...looks.flatMap(({ findings }) => findings),
    checkGuards(hostGuards()),
    await checkCompressors(),
    checkOpenFiles(Math.max(0, ...surveys.map(({ tables }) => tables))),
    ...(await checkHostFiles({
      spoolDirectory: settings.spoolDirectory,
      defaultsFiles: servers.map(({ settings: server }) => server.defaultsFile),
    })),
    await checkPort(settings, patient.ping),
    ...(await checkAccess(settings, nowMs)),
    ...(await checkTls(settings, nowMs)),
    ...memory.findings,
    checkClock({ nowMs, jobs: memory.jobs, newestFileMs: newestOf(surveys) }),
  ]
}

interface ServerFindings {
  readonly findings: readonly Finding[]
  readonly survey: Survey | undefined
}

type Jobs = Parameters<typeof checkRedoLog>[0]['jobs']

const examineServer = async (
  { login, sample, settings: agent }: Patient,
  { instance, settings }: Server,
  jobs: Jobs,
): Promise<ServerFindings> => {
  const { socket, defaultsFile, hostLogin = false } = settings
  const { finding: engine, identity } = await lookForEngine(settings)
  const isServer = identity?.name !== 'directory'
  // What a client would send is not used then.
  const tried = hostLogin ? {} : login
  const server = isServer ? await lookAtServer({ ...tried, socket, defaultsFile }, sample, hostLogin) : undefined
  const survey = await surveyOf(settings, server)
  const findings = [
    engine,
    ...(server?.findings ?? []),
    ...(identity === undefined || server?.facts === undefined ? [] : [checkVersions(identity, server.facts)]),
    ...(survey === undefined ? [] : [checkDataDirectory(survey)]),
    ...(await checkWaitingRoom(agent, survey)),
    ...redoFindings(server, survey, jobs),
  ]
  return { survey, findings: instance === undefined ? findings : findings.map((one) => ({ ...one, instance })) }
}

/** Where the data is: the server knows best. */
const surveyOf = async (settings: ServerSettings, server: ServerLook | undefined): Promise<Survey | undefined> => {
  const directory = server?.facts?.dataDirectory ?? settings.datadir ?? settings.directory
  return directory === undefined ? undefined : surveyDataDirectory(directory)
}

const redoFindings = (server: ServerLook | undefined, survey: Survey | undefined, jobs: Jobs): Finding[] => {
  const [capacityBytes, writtenPerSecond] = [survey?.redoBytes, server?.writtenPerSecond]
  if (survey === undefined || capacityBytes === undefined || writtenPerSecond === undefined) return []
  return [checkRedoLog({ capacityBytes, dataBytes: survey.bytes, writtenPerSecond, jobs })]
}

const newestOf = (surveys: readonly Survey[]): number | undefined =>
  surveys.length === 0 ? undefined : Math.max(...surveys.map(({ newestMs }) => newestMs))
