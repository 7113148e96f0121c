/**
 * Every failure we foresee: its code, the exit status a script sees, and what it means.
 *
 * A code is never renamed and never used for something else: operators grep for it,
 * scripts branch on it. The README's table of exit codes is generated from this file
 * (`npm run docs`), and a test compares the two.
 */

/**
 * Exit statuses of both programs. Scripts branch on these, so a number never changes its meaning.
 *
 * 130 and 143 are the shell's own for SIGINT and SIGTERM.
 */
export const EXIT = {
  ok: 0,
  bug: 1,
  usage: 2,
  refused: 3,
  failed: 4,
  incomplete: 5,
  network: 6,
  local: 7,
  engine: 8,
  interrupted: 130,
  terminated: 143,
} as const

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

/** What each exit status means, in the words of the README's table. */
export const EXIT_MEANING: Readonly<Record<ExitStatus, string>> = {
  0: 'done; a fetched or verified backup is whole',
  1: 'a bug in this program; the message is meant for its makers',
  2: 'wrong usage: an option, a value or a file that was named',
  3: 'refused: the other side said no, and why',
  4: 'the backup failed on the database host; there is no backup',
  5: 'what arrived, or the file, is not a whole backup',
  6: 'the network: nobody answered, what answered is no agent, or nothing came any more',
  7: 'this machine: a disk, a directory or a permission',
  8: 'a backup program is missing, does not fit or could not prepare the backup',
  130: 'stopped by SIGINT (Ctrl-C); nothing final was left behind',
  143: 'stopped by SIGTERM; nothing final was left behind',
}

interface Entry {
  /** Exit status of a program that ends with this failure. */
  readonly exit: ExitStatus
  /** One clause, lower case, no full stop. */
  readonly meaning: string
}

const catalogue = <Code extends string>(entries: Record<Code, Entry>): Readonly<Record<Code, Entry>> =>
  Object.freeze(entries)

export const CATALOGUE = catalogue({
  // scratch: files that nobody else sees
  SCRATCH_NO_ROOM: { exit: EXIT.local, meaning: 'the disk for scratch files is full, or down to its reserve' },
  SCRATCH_UNSAFE: {
    exit: EXIT.local,
    meaning: 'a directory for scratch files in which other users of the host could put something in our place',
  },
  SCRATCH_IO: { exit: EXIT.local, meaning: 'a scratch file cannot be made, written or read back' },

  // log: where the lines go
  LOG_DESTINATION: { exit: EXIT.usage, meaning: 'the log cannot be written where it was wanted' },

  // protocol: the words on the wire
  PROTOCOL_LINE_TOO_LONG: { exit: EXIT.refused, meaning: 'a line is longer than the limit' },
  PROTOCOL_BLOCK_TOO_LARGE: { exit: EXIT.refused, meaning: 'a block is larger than the limit' },
  PROTOCOL_COUNT_INVALID: { exit: EXIT.refused, meaning: 'the count line is not plain digits' },
  PROTOCOL_COUNT_TOO_LARGE: { exit: EXIT.refused, meaning: 'the count is over the limit' },
  PROTOCOL_PAIR_INVALID: { exit: EXIT.refused, meaning: 'a line has no "=" or no key before it' },
  PROTOCOL_KEY_DUPLICATE: { exit: EXIT.refused, meaning: 'a key stands twice in one block' },
  PROTOCOL_CONTROL_BYTE: { exit: EXIT.refused, meaning: 'a control byte (NUL, CR, …) in a line' },
  PROTOCOL_ENCODING_INVALID: { exit: EXIT.refused, meaning: 'a line is not valid UTF-8' },
  PROTOCOL_BLOCK_UNTERMINATED: { exit: EXIT.refused, meaning: 'no empty line where the block must end' },
  PROTOCOL_TRUNCATED: { exit: EXIT.network, meaning: 'the peer stopped in the middle of a message' },
  PROTOCOL_TRAILING_BYTES: { exit: EXIT.refused, meaning: 'bytes after the end of the request' },
  PROTOCOL_VERSION_INVALID: { exit: EXIT.refused, meaning: 'the version is not three plain numbers' },
  PROTOCOL_VERSION_INCOMPATIBLE: { exit: EXIT.refused, meaning: 'the versions of client and agent do not fit' },
  PROTOCOL_KEY_MISSING: { exit: EXIT.refused, meaning: 'a key the request needs is missing' },
  PROTOCOL_VALUE_INVALID: { exit: EXIT.refused, meaning: 'a value the agent understands has a form it does not' },
  PROTOCOL_ANSWER_INVALID: { exit: EXIT.network, meaning: 'the other side does not speak this protocol' },

  // encodings: how bytes are dressed for the wire
  ENCODING_UNKNOWN: { exit: EXIT.refused, meaning: 'a stream encoding nobody here knows' },
  ENCODING_BLOCK_SIZE: { exit: EXIT.refused, meaning: 'a block size outside the limits' },
  ENCODING_CORRUPT: { exit: EXIT.incomplete, meaning: 'bytes that the encoding does not allow' },
  ENCODING_TRUNCATED: { exit: EXIT.incomplete, meaning: 'the encoded stream stops inside a unit' },
  FRAME_CORRUPT: { exit: EXIT.incomplete, meaning: 'a frame of the stream that cannot be' },
  FRAME_TRUNCATED: { exit: EXIT.incomplete, meaning: 'the framed stream stops without its end frame' },

  // archive: xbstream in, tar out
  XBSTREAM_CORRUPT: { exit: EXIT.failed, meaning: 'a chunk header that cannot be' },
  XBSTREAM_CHECKSUM: { exit: EXIT.failed, meaning: 'a chunk whose checksum does not match' },
  XBSTREAM_OFFSET: { exit: EXIT.failed, meaning: 'a chunk that does not follow the one before it' },
  XBSTREAM_CHUNK_UNKNOWN: { exit: EXIT.failed, meaning: 'a chunk of unknown type that may not be skipped' },
  XBSTREAM_AFTER_END: { exit: EXIT.failed, meaning: 'a chunk for a file that was already closed' },
  XBSTREAM_TRUNCATED: { exit: EXIT.failed, meaning: 'the stream stops inside a chunk' },
  XBSTREAM_FILE_OPEN: { exit: EXIT.failed, meaning: 'the stream ends and a file was never closed' },
  XBSTREAM_LIMIT: { exit: EXIT.failed, meaning: 'a length, a name or a number of files beyond reason' },
  ARCHIVE_PATH_UNSAFE: { exit: EXIT.incomplete, meaning: 'a name that is absolute, climbs or hides something' },
  ARCHIVE_MEMBER_LONGER: { exit: EXIT.failed, meaning: 'a file came out longer than the size announced for it' },
  ARCHIVE_MEMBER_CHANGED: { exit: EXIT.failed, meaning: 'a file changed while it was read' },
  ARCHIVE_SPOOL_FULL: { exit: EXIT.failed, meaning: 'the spool reached its limit' },
  ARCHIVE_SPOOL_IO: { exit: EXIT.local, meaning: 'the spool directory cannot be used' },
  ARCHIVE_TRUNCATED: { exit: EXIT.incomplete, meaning: 'the archive stops before its end' },
  ARCHIVE_CORRUPT: { exit: EXIT.incomplete, meaning: 'a header of the archive that cannot be' },
  ARCHIVE_TRAILING_BYTES: { exit: EXIT.incomplete, meaning: 'bytes after the end of the archive' },
  ARCHIVE_DUPLICATE: { exit: EXIT.incomplete, meaning: 'two members of the archive have one name' },
  ARCHIVE_METADATA_MISSING: { exit: EXIT.incomplete, meaning: 'the files that the engine writes last are not there' },
  ARCHIVE_MEMBER_REFUSED: { exit: EXIT.incomplete, meaning: 'a member that is neither a file nor a directory' },
  ARCHIVE_LIMIT: { exit: EXIT.incomplete, meaning: 'a size, a name or a number of members beyond reason' },

  // flow: bytes held back, deadlines
  FLOW_STALLED: { exit: EXIT.network, meaning: 'no byte moved for longer than the limit' },
  FLOW_STALLED_LOCKED: {
    exit: EXIT.failed,
    meaning: 'the receiver held the backup up while the database was locked; it was given up to free the locks',
  },

  // engines: the programs that make the backup
  ENGINE_NOT_FOUND: { exit: EXIT.engine, meaning: 'no backup program was found' },
  ENGINE_UNUSABLE: { exit: EXIT.engine, meaning: 'the backup program does not run or does not say its version' },
  ENGINE_FAILED: { exit: EXIT.failed, meaning: 'the backup program ended with an error' },
  ENGINE_NO_OK: { exit: EXIT.failed, meaning: 'the backup program ended without its word of success' },
  ENGINE_NO_OUTPUT: { exit: EXIT.failed, meaning: 'the backup program ended before its first byte' },
  ENGINE_LOGIN_INVALID: {
    exit: EXIT.refused,
    meaning: 'a user name or password that cannot be handed to the backup program',
  },
  ENGINE_DEFAULTS_FILE: { exit: EXIT.usage, meaning: 'the defaults file cannot be read or must not be trusted' },
  ENGINE_LOGIN: { exit: EXIT.failed, meaning: 'the database refused the login' },
  ENGINE_PRIVILEGE: { exit: EXIT.failed, meaning: 'the database user lacks a privilege' },
  ENGINE_REDO_OVERRUN: { exit: EXIT.failed, meaning: 'the server overwrote redo log that was not copied yet' },
  ENGINE_DIRECTORY: { exit: EXIT.failed, meaning: 'the directory cannot be backed up as it is' },
  ENGINE_PREPARE: { exit: EXIT.engine, meaning: 'the backup could not be prepared' },
  ENGINE_LOCK: { exit: EXIT.local, meaning: 'the lock that keeps backups of one server apart cannot be used' },

  // server: the database server, asked by the agent itself
  SERVER_UNREACHABLE: {
    exit: EXIT.failed,
    meaning: 'the database server cannot be asked: nobody answers on its socket',
  },
  SERVER_TIMEOUT: { exit: EXIT.failed, meaning: 'the database server did not answer in time' },
  SERVER_QUERY: { exit: EXIT.failed, meaning: 'the database server answered a statement with an error' },
  SERVER_BINLOG_OFF: { exit: EXIT.refused, meaning: 'the server writes no binary log' },
  SERVER_BINLOG_GONE: { exit: EXIT.refused, meaning: 'the server does not have the binary log that was asked for' },
  SERVER_BINLOG_CHANGED: { exit: EXIT.failed, meaning: 'a binary log was removed or changed while it was sent' },
  SERVER_BINLOG_UNREADABLE: { exit: EXIT.failed, meaning: 'a binary log cannot be read where the server says it is' },
  SERVER_SETTING: { exit: EXIT.failed, meaning: 'a setting of the server cannot be changed for a backup' },

  // compression, on either side
  COMPRESS_REFUSED: { exit: EXIT.refused, meaning: 'a compressor, a level or a word beside it that is not recognised' },
  COMPRESS_NOT_FOUND: { exit: EXIT.engine, meaning: 'a program that compresses or decompresses is not installed' },
  COMPRESS_FAILED: { exit: EXIT.failed, meaning: 'the compressor ended with an error, or stood still' },
  COMPRESS_CORRUPT: {
    exit: EXIT.incomplete,
    meaning: 'compressed bytes that cannot be, or that stop before their end',
  },
  COMPRESS_LIMIT: { exit: EXIT.incomplete, meaning: 'compressed bytes that grow beyond reason when they are unpacked' },

  // history: the journal of jobs
  HISTORY_DIRECTORY: { exit: EXIT.local, meaning: 'the state directory cannot be used' },
  HISTORY_UNSAFE: {
    exit: EXIT.local,
    meaning: 'the state directory or a file in it belongs to another user or is open to others',
  },
  HISTORY_FULL: { exit: EXIT.local, meaning: 'there is no room for a line of the history' },
  HISTORY_IO: { exit: EXIT.local, meaning: 'the history cannot be read or written' },
  HISTORY_PROCESS: { exit: EXIT.local, meaning: 'the system does not say when a process started' },
  HISTORY_ENDED: { exit: EXIT.failed, meaning: 'the history says already how this job ended' },

  // config: what the operator decides
  CONFIG_FILE: { exit: EXIT.usage, meaning: 'the configuration file cannot be read or must not be trusted' },
  CONFIG_INVALID: { exit: EXIT.usage, meaning: 'mistakes in the configuration' },

  // jobs: admission and verdict
  JOB_BUSY: { exit: EXIT.refused, meaning: 'another backup of this server is running' },
  JOB_DRAINING: { exit: EXIT.refused, meaning: 'the agent is shutting down and takes no new work' },
  JOB_UNKNOWN: { exit: EXIT.refused, meaning: 'no job has this session id' },
  JOB_BASE_UNKNOWN: { exit: EXIT.refused, meaning: 'no backup with the session id of the base is remembered' },
  JOB_BASE_UNVERIFIED: { exit: EXIT.refused, meaning: 'the base of an incremental backup is not known to be whole' },
  JOB_BASE_FOREIGN: { exit: EXIT.refused, meaning: 'the base of an incremental backup is of another server' },
  JOB_BASE_LSN: {
    exit: EXIT.refused,
    meaning: 'the base of an incremental backup ends at another log sequence number',
  },
  JOB_ELSEWHERE: { exit: EXIT.refused, meaning: 'another process of the agent makes the backup and did not cancel it' },
  JOB_CANCELLED: { exit: EXIT.failed, meaning: 'the backup was cancelled' },
  JOB_START_TIMEOUT: { exit: EXIT.failed, meaning: 'the backup program did not begin to send in time' },
  JOB_LOCK_WAIT: { exit: EXIT.failed, meaning: 'the backup program waited too long for a lock of the server' },
  JOB_NO_PROGRESS: { exit: EXIT.failed, meaning: 'the backup program neither sent nor said anything for too long' },
  JOB_DRAIN_TIMEOUT: { exit: EXIT.failed, meaning: 'the agent was shutting down and the backup did not end in time' },
  JOB_CLIENT_GONE: { exit: EXIT.failed, meaning: 'the client went away' },
  JOB_CLIENT_UNREACHABLE: { exit: EXIT.failed, meaning: 'the network to the client took nothing any more' },
  JOB_INCOMPLETE: { exit: EXIT.failed, meaning: 'a fact that a complete backup needs does not hold' },

  // agent: who may ask, and what they are told
  AGENT_ACTION_UNKNOWN: { exit: EXIT.refused, meaning: 'an action the agent does not know' },
  AGENT_NOT_SUPPORTED: { exit: EXIT.refused, meaning: 'an action or option this agent cannot do' },
  AGENT_INSTANCE: {
    exit: EXIT.refused,
    meaning: 'the request means a server that is not configured, or not one alone',
  },
  AGENT_NOT_ALLOWED: { exit: EXIT.refused, meaning: 'a value that the operator has not allowed clients to choose' },
  AGENT_ACCESS_DENIED: { exit: EXIT.refused, meaning: 'the client has shown nothing by which it may ask' },
  AGENT_LOGIN_TURN: { exit: EXIT.refused, meaning: 'too many wrong logins of this user from this address' },
  AGENT_ACCESS_ROLE: { exit: EXIT.refused, meaning: 'the role of the client does not allow what it asks for' },
  AGENT_ACCESS_TOKENS: {
    exit: EXIT.usage,
    meaning: 'the file of tokens cannot be read or changed, or must not be trusted',
  },
  AGENT_TOKENS_WRITE: {
    exit: EXIT.local,
    meaning: 'the file of tokens cannot be written: the disk is full, most often',
  },
  AGENT_REQUEST_TIMEOUT: { exit: EXIT.refused, meaning: 'the request did not arrive in time' },
  AGENT_CONNECTIONS: { exit: EXIT.network, meaning: 'connections were dropped: too many at the same time' },
  AGENT_LISTEN: { exit: EXIT.network, meaning: 'the agent cannot listen on the address' },
  AGENT_INSECURE: {
    exit: EXIT.usage,
    meaning: 'an address beyond this host, and neither TLS nor the explicit decision to do without',
  },
  AGENT_TLS_FILE: {
    exit: EXIT.usage,
    meaning: 'a certificate or key of the agent cannot be read or must not be trusted',
  },
  AGENT_TLS_KEY: { exit: EXIT.usage, meaning: 'the key of the agent does not belong to its certificate' },
  AGENT_TLS_EXPIRED: { exit: EXIT.usage, meaning: 'the certificate of the agent is not valid now' },
  AGENT_TLS_REQUIRED: { exit: EXIT.refused, meaning: 'the agent speaks TLS, and was asked in clear' },
  AGENT_TLS_NONE: { exit: EXIT.refused, meaning: 'the agent speaks no TLS, and was asked in TLS' },
  AGENT_TLS_HANDSHAKE: { exit: EXIT.refused, meaning: 'a client did not come through the TLS handshake' },
  AGENT_TLS_CLIENT: { exit: EXIT.refused, meaning: 'the client has no certificate that the agent trusts' },
  AGENT_DESCRIPTOR: { exit: EXIT.usage, meaning: 'the socket that the agent was given is none it can serve' },

  // client: the asking side
  CLIENT_TOKEN: { exit: EXIT.usage, meaning: 'the token for the agent is none, or mistyped' },
  CLIENT_TOKEN_CLEAR: {
    exit: EXIT.usage,
    meaning: 'a token is not sent to another machine over a connection that is not encrypted',
  },
  CLIENT_CONNECT: { exit: EXIT.network, meaning: 'the agent cannot be reached' },
  CLIENT_UNANSWERED: { exit: EXIT.network, meaning: 'the agent broke the connection off in place of an answer' },
  CLIENT_TLS_FILE: { exit: EXIT.usage, meaning: 'a certificate or key of the client cannot be read or does not fit' },
  CLIENT_TLS_UNTRUSTED: {
    exit: EXIT.network,
    meaning: 'the certificate of the agent comes from nobody who is trusted here',
  },
  CLIENT_TLS_NAME: { exit: EXIT.network, meaning: 'the certificate of the agent is for another name' },
  CLIENT_TLS_EXPIRED: { exit: EXIT.network, meaning: 'a certificate is not valid now' },
  CLIENT_TLS_NOT_SPOKEN: { exit: EXIT.network, meaning: 'the agent speaks no TLS' },
  CLIENT_TLS_VERSION: { exit: EXIT.network, meaning: 'the agent speaks only versions of TLS that are too old' },
  CLIENT_TLS_CERTIFICATE: {
    exit: EXIT.refused,
    meaning: 'the agent wants a certificate of the client, or another one',
  },
  CLIENT_TLS_HANDSHAKE: { exit: EXIT.network, meaning: 'the TLS handshake with the agent failed' },
  CLIENT_CUT: {
    exit: EXIT.incomplete,
    meaning: 'the connection broke before all of the answer or the stream was there',
  },
  CLIENT_SILENCE: {
    exit: EXIT.network,
    meaning: 'the agent was silent for longer than the limit, or did not come to the end of its answer',
  },
  CLIENT_MAX_BYTES: { exit: EXIT.incomplete, meaning: 'more has come, or is in the file, than the caller will take' },
  CLIENT_MAX_SECONDS: { exit: EXIT.incomplete, meaning: 'it took longer in all than the caller will wait' },
  CLIENT_REFUSED: { exit: EXIT.refused, meaning: 'the agent refused the request' },
  CLIENT_BACKUP_FAILED: { exit: EXIT.failed, meaning: 'the agent said that the backup failed' },
  CLIENT_MISMATCH: { exit: EXIT.incomplete, meaning: 'what arrived is not what the agent says it sent' },
  CLIENT_RECEIPT: { exit: EXIT.incomplete, meaning: 'the file is not what its receipt says, or the receipt is none' },
  CLIENT_CHAIN: {
    exit: EXIT.incomplete,
    meaning: 'archives that do not follow each other: one is missing, wrong or twice',
  },
  CLIENT_NO_VERDICT: { exit: EXIT.refused, meaning: 'the backup has no verdict of an agent, and one was required' },
  CLIENT_NO_STREAM: { exit: EXIT.refused, meaning: 'the agent accepted the request but sent no backup' },
  CLIENT_TARGET: { exit: EXIT.local, meaning: 'the target exists, is not empty or cannot be written' },
  CLIENT_WRITE: { exit: EXIT.local, meaning: 'the backup cannot be written here' },
  CLIENT_INTERRUPTED: { exit: EXIT.interrupted, meaning: 'the client was told to stop' },
  CLIENT_TERMINATED: { exit: EXIT.terminated, meaning: 'the client was told to end' },

  // certificates of one's own
  CERTIFICATE_EXISTS: {
    exit: EXIT.local,
    meaning: 'a certificate or key is there already, and none is ever overwritten',
  },
  CERTIFICATE_AUTHORITY: {
    exit: EXIT.local,
    meaning: 'the private certificate authority is not there or cannot be used',
  },
  CERTIFICATE_WRITE: {
    exit: EXIT.local,
    meaning: 'a certificate or key cannot be written: the disk is full, most often',
  },
  CERTIFICATE_MAKING: { exit: EXIT.engine, meaning: 'openssl is missing or could not make a certificate' },

  // cli: the face to people
  CLI_USAGE: { exit: EXIT.usage, meaning: 'an option or argument that cannot be' },
  CLI_FILE: { exit: EXIT.usage, meaning: 'a file named on the command line cannot be read' },
  CLI_OUTPUT: { exit: EXIT.local, meaning: 'what there was to say could not be printed' },
  SESSION_FILE_INVALID: { exit: EXIT.usage, meaning: 'a recorded session that cannot be read' },
  SESSION_DIFFERS: { exit: EXIT.failed, meaning: 'the agent answered differently from the recording' },
})

/** A name from the catalogue. */
export type ErrorCode = keyof typeof CATALOGUE
