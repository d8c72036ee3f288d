/* The limit: keeps N copies of a program running and does nothing else that a supervisor does.
 *
 *   bare THREADS N ACTOR MODE LOG
 *
 * Starts "ACTOR MODE LOG INDEX" N times by posix_spawn(3) from so many threads. One that ends is started again: at once
 * when it lived for a second, else a second after its start. SIGTERM: sends TERM to all, waits for all, ends. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct slot {
	pid_t pid;
	long long started;
	char index[16];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static pthread_cond_t born = PTHREAD_COND_INITIALIZER;
static struct slot *slots;
static int *waiting; /* a ring of slots to start again, the earliest first */
static int count, threads, next_slot, head, waiters, alive, stopping;
static char **words;
static posix_spawnattr_t attributes;

static long long now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static pid_t spawn(struct slot *slot)
{
	char *argv[] = {words[0], words[1], words[2], slot->index, NULL};
	extern char **environ;
	pid_t pid;
	int error = posix_spawn(&pid, words[0], NULL, &attributes, argv, environ);
	if (error) {
		fprintf(stderr, "bare: cannot start %s: %s\n", words[0], strerror(error));
		_exit(1);
	}
	return pid;
}

/* Nobody reaps while these threads run, so the lock is only for the next number. */
static void *start_share(void *nothing)
{
	(void)nothing;
	for (;;) {
		int at = __atomic_fetch_add(&next_slot, 1, __ATOMIC_RELAXED);
		if (at >= count)
			return NULL;
		slots[at].started = now();
		slots[at].pid = spawn(&slots[at]);
	}
}

static void start_again(struct slot *slot)
{
	slot->started = now();
	slot->pid = spawn(slot);
	alive++;
	pthread_cond_signal(&born);
}

static void *start_late(void *nothing)
{
	(void)nothing;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (waiters == 0)
			pthread_cond_wait(&more, &lock);
		int at = waiting[head];
		long long due = slots[at].started + 1000000000LL - now();
		if (due > 0) {
			struct timespec pause = {due / 1000000000LL, due % 1000000000LL};
			pthread_mutex_unlock(&lock);
			nanosleep(&pause, NULL);
			pthread_mutex_lock(&lock);
			continue;
		}
		head = (head + 1) % count;
		waiters--;
		if (!stopping)
			start_again(&slots[at]);
	}
	return NULL;
}

static int find(pid_t pid)
{
	for (int at = 0; at < count; at++)
		if (slots[at].pid == pid)
			return at;
	return -1;
}

static void *reap(void *nothing)
{
	(void)nothing;
	for (;;) {
		siginfo_t info;
		pthread_mutex_lock(&lock);
		while (alive == 0 && !stopping)
			pthread_cond_wait(&born, &lock);
		pthread_mutex_unlock(&lock);
		if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT))
			_exit(0);
		pthread_mutex_lock(&lock);
		int at = find(info.si_pid);
		waitid(P_PID, (id_t)info.si_pid, &info, WEXITED);
		slots[at].pid = 0;
		alive--;
		if (stopping) {
			if (alive == 0)
				_exit(0);
		} else if (now() - slots[at].started >= 1000000000LL) {
			start_again(&slots[at]);
		} else {
			waiting[(head + waiters++) % count] = at;
			pthread_cond_signal(&more);
		}
		pthread_mutex_unlock(&lock);
	}
}

int main(int argc, char **argv)
{
	sigset_t none, term;
	pthread_t thread, all[64];
	int signal;
	if (argc != 6)
		return 2;
	threads = atoi(argv[1]) < 64 ? atoi(argv[1]) : 64;
	count = atoi(argv[2]);
	words = argv + 3;
	slots = calloc((size_t)count, sizeof *slots);
	waiting = calloc((size_t)count, sizeof *waiting);
	for (int at = 0; at < count; at++)
		snprintf(slots[at].index, sizeof slots[at].index, "%d", at);
	sigemptyset(&none);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	for (int at = 0; at < threads; at++)
		pthread_create(&all[at], NULL, start_share, NULL);
	for (int at = 0; at < threads; at++)
		pthread_join(all[at], NULL);
	alive = count;
	pthread_create(&thread, NULL, reap, NULL);
	pthread_create(&thread, NULL, start_late, NULL);
	sigwait(&term, &signal);
	pthread_mutex_lock(&lock);
	stopping = 1;
	for (int at = 0; at < count; at++)
		if (slots[at].pid)
			kill(slots[at].pid, SIGTERM);
	if (alive == 0)
		_exit(0);
	pthread_mutex_unlock(&lock);
	for (;;)
		pause();
}
