// What the TypeScript servers of the tests share: what has happened in them, what their tools do, and how they listen.
//
// A tool here waits for what another call does, never for a time: progress that is held back until the end of its call
// never comes at all, and neither does the end.
import { EventEmitter, once } from 'node:events';

const opened = new Map();
const cancelled = new Set();
const changed = new EventEmitter().setMaxListeners(0);

async function until(isSo, signal) {
    while (!isSo()) await once(changed, 'changed', { signal });
}

export const world = {
    // Reports step after step, each only once the one before has been answered by `open`.
    async steps(report, key, count, signal) {
        try {
            for (let step = 1; step <= count; step++) {
                await report({ progress: step, total: count });
                await until(() => (opened.get(key) ?? 0) >= step, signal);
            }
        } catch (error) {
            if (signal.aborted) {
                cancelled.add(key);
                changed.emit('changed');
            }
            throw error;
        }
        return `${count} steps of ${key}`;
    },
    open(key) {
        opened.set(key, (opened.get(key) ?? 0) + 1);
        changed.emit('changed');
        return 'opened';
    },
    // Waits until the call of `steps` with this key has been cancelled.
    async ended(key, signal) {
        await until(() => cancelled.has(key), signal);
        return 'cancelled';
    },
};

export function said(text) {
    return { content: [{ type: 'text', text }] };
}

// Serves on a port of its own choice, and says where in one JSON line once it listens.
export function listen(http, paths) {
    http.listen(0, '127.0.0.1', () => {
        const at = `http://127.0.0.1:${http.address().port}`;
        const urls = Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, at + path]));
        process.stdout.write(`${JSON.stringify({ fact: 'listening', ...urls })}\n`);
    });
}
