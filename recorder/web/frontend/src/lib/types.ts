// The API's words (/api/v2/openapi.json); only what the pages use.

export type Right =
  | 'seeStatus'
  | 'seeCalls'
  | 'listenLive'
  | 'seeRecordings'
  | 'play'
  | 'downloadEvidence'
  | 'label'
  | 'hold'
  | 'share'
  | 'manageShares'
  | 'seeAudit'
  | 'manageUsers';

export interface Me {
  name: string;
  roles: string[];
  rights: Right[];
  /** Null for an API token. */
  csrf: string | null;
}

export type Side = 'caller' | 'callee';

// ---- status ----

export interface Alarm {
  id: string;
  severity: 'critical' | 'major' | 'minor' | 'warning';
  detail: string;
  since: string;
  raised: string;
  cleared: string | null;
  count: number;
  meaning: string;
  action: string;
}

export interface LedgerRow {
  stage: string;
  name: string;
  class: string;
  count: number;
  perSecond: number;
}

export interface Worker {
  queue: number;
  cpu: number | null;
  load: number;
  ring: number;
  journalMemory: number;
  packetsPerSecond: number;
}

export interface Disk {
  purpose: string;
  path: string;
  total: number;
  free: number;
  daysLeft: number | null;
  latency: number | null;
  trouble: string | null;
}

export interface Incomplete {
  id: string | null;
  time: string;
  caller: string;
  callee: string;
  reasons: string[];
}

export interface Status {
  time: string;
  node: string;
  build: string;
  recording: { state: string; since: string; reason: string | null; recovering: boolean };
  interface: { name: string; way: string; up: boolean };
  calls: {
    concurrent: number;
    perSecond: number;
    seen: number;
    answered: number;
    refused: number;
    recorded: number;
    incomplete: number;
  };
  traffic: { packetsPerSecond: number; bitsPerSecond: number; streams: number };
  ledger: { rows: LedgerRow[]; lost: number; imbalances: string[] };
  workers: Worker[];
  codecs: { name: string; streams: number }[];
  quality: { recordings: number; mos: number | null; loss: number };
  span: { duplicates: number; oneDirection: number; withoutMedia: number; withoutSignalling: number };
  finishing: { queued: number; oldestSeconds: number; spooled: number };
  disks: Disk[];
  catalog: { kind: string; trouble: string | null };
  clock: { synchronised: boolean; steering: string; errorMax: number };
  certificates: { purpose: string; subject: string; notAfter: string }[];
  alarms: Alarm[];
  cleared: Alarm[];
  incomplete: Incomplete[];
}

export interface Node {
  node: string;
  address?: string | null;
  time: string;
  recording: string;
  alarms: number;
  concurrent: number;
  lost: number;
}

export interface StatusBody {
  recorder: Status | null;
  silentSince: string | null;
  nodes: Node[];
}

export interface HistoryPoint {
  time: string;
  concurrent: number;
  packetsPerSecond: number;
  bitsPerSecond: number;
  lost: number;
}

export interface History {
  step: number;
  points: HistoryPoint[];
}

// ---- live ----

export interface LiveCall {
  id: string;
  callId: string | null;
  caller: string;
  callee: string;
  startTime: string;
  answerTime: string | null;
  codecs: string[];
  audible: boolean;
}

// ---- recordings ----

export interface Summary {
  id: string;
  callId: string | null;
  callerPhoneNumber: string;
  dialedPhoneNumber: string;
  startTime: string;
  stopTime: string;
  duration: number;
  complete: boolean;
  incompleteReasons: string[];
  direction?: string | null;
  mos: number | null;
  codecs: string[];
  labels: string[];
  nonDelete: boolean;
  hasAudio: boolean;
  node: string;
}

export interface Gap {
  side: Side;
  startTime: string;
  duration: number;
  packets: number | null;
  reason: string;
}

export interface QualityPoint {
  time: string;
  lost: number;
  jitter: number;
  mos: number | null;
}

export interface Stream {
  source: string;
  destination: string;
  ssrc: string;
  side: Side;
  media: string;
  codec: string;
  packets: number;
  unique: number;
  lost: number;
  duplicates: number;
  late: number;
  jitter: number;
  mos: number | null;
  startTime: string;
  stopTime: string;
  mediaFiles: string[];
  state: string;
  quality?: QualityPoint[];
}

export interface MediaFile {
  mediaId: string;
  path: string;
  type: string;
  startTime: string;
  stopTime: string;
  duration: number;
  channels: number;
  size: number;
  sha256: string;
  peaks?: number[];
}

export interface Message {
  time: string;
  source: string;
  destination: string;
  startLine: string;
  cseq: string;
  sdp: boolean;
  retransmission: boolean;
}

export interface Mark {
  time: string;
  kind: 'hold' | 'resume' | 'dtmf';
  side: Side | null;
  value?: string | null;
}

export interface NonDelete {
  on: boolean;
  who: string;
  reason: string;
  time: string;
}

export interface Recording {
  id: string;
  callId: string | null;
  callerPhoneNumber: string;
  dialedPhoneNumber: string;
  from: string | null;
  to: string | null;
  startTime: string;
  answerTime: string | null;
  stopTime: string;
  duration: number;
  direction?: string | null;
  endReason: string;
  complete: boolean;
  incompleteReasons?: string[];
  gaps: Gap[];
  streams: Stream[];
  mediaFiles: MediaFile[];
  messages: Message[];
  marks?: Mark[];
  clock?: { synchronised: boolean; steering: string; errorMaxMicroseconds: number };
  notes?: string[];
  node: string;
  build: string;
  labels: string[];
  metadata: Record<string, string>;
  nonDelete: NonDelete | null;
}

export interface Evidence {
  verified: boolean;
  checkedAt: string;
  /** Subject of the certificate under the signature. */
  signer: string | null;
  signedAt: string | null;
  /** Files that are as they were signed; of these, sealed ones whose content was checked too. */
  files: number;
  opened: number;
  findings: string[];
}

export interface SavedSearch {
  id: string;
  name: string;
  query: string;
  columns: string[];
}

// ---- shares, audit, users ----

export interface Share {
  id: string;
  url?: string;
  recording: string;
  owner: string;
  created: string;
  expires: string;
  uses: number | null;
  used: number;
  passcode: boolean;
  /** After too many wrong passcodes. */
  locked: boolean;
  note: string | null;
  revoked: string | null;
}

export interface SharedRecording {
  caller: string;
  callee: string;
  startTime: string;
  duration: number;
  channels: number;
  peaks: number[];
  sharedBy: string;
  sharedOn: string;
  expires: string;
  key: string;
}

export interface AuditEntry {
  time: string;
  who: string;
  /** Empty: the server itself. */
  address: string;
  act: string;
  subject: string;
  detail: unknown;
  allowed: boolean;
  number: number;
  hash: string;
}

export interface User {
  name: string;
  roles: string[];
  made: string;
}

export interface Token {
  id: string;
  name: string;
  /** The user whose token it is. */
  owner: string;
  rights: Right[];
  made: string;
  expires: string | null;
}
