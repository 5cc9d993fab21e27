// What somebody is and may, in words.

import type { Right } from './types';

/** What names of users and tokens are made of. */
export const NAME = '[A-Za-z0-9][A-Za-z0-9._@\\-]*';
export const NAMED = 'Letters, digits and . _ @ -';

export const ROLES: { role: string; text: string }[] = [
  { role: 'viewer', text: 'sees whether all is well' },
  { role: 'supervisor', text: 'finds, hears and shares calls, live and later' },
  { role: 'compliance', text: 'proves, holds, and sees who did what' },
  { role: 'administrator', text: 'manages users and tokens; hears nothing' },
];

export const RIGHTS: { right: Right; text: string }[] = [
  { right: 'seeStatus', text: 'status, metrics' },
  { right: 'seeCalls', text: 'calls that are up' },
  { right: 'listenLive', text: 'listen to calls that are up' },
  { right: 'seeRecordings', text: 'search, see recordings' },
  { right: 'play', text: 'play, download audio' },
  { right: 'downloadEvidence', text: 'download packets and bundles' },
  { right: 'label', text: 'labels and metadata' },
  { right: 'hold', text: 'set and lift non-deletion' },
  { right: 'share', text: 'share links' },
  { right: 'manageShares', text: 'see and revoke all links' },
  { right: 'seeAudit', text: 'the audit log' },
  { right: 'manageUsers', text: 'users and tokens' },
];
