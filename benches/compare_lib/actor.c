/* What every supervisor is given to run, so that nobody's programs are cheaper than the others'.
 *
 *   actor idle LOG INDEX    appends "INDEX PID NANOSECONDS\n" to LOG, then waits for a signal
 *   actor fail LOG          appends a byte to LOG and exits with 1
 *   actor flood LOG BYTES   appends the time to LOG, writes so many bytes of lines to its output, appends the time
 *
 * The times are CLOCK_MONOTONIC, taken by the program itself: the measuring process need not be quick.
 * As the interpreter of a script ("#!/path/actor idle LOG INDEX") it gets all its words in one argument. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char block[64 * 1024];

static long long now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void note(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(111);
	close(fd);
}

static void flood(const char *path, long long bytes)
{
	char text[64];
	for (size_t i = 0; i < sizeof block; i++)
		block[i] = i % 64 == 63 ? '\n' : (char)('a' + i % 26);
	snprintf(text, sizeof text, "%lld\n", now());
	note(path, text);
	while (bytes > 0) {
		ssize_t done = write(1, block, sizeof block);
		if (done < 0)
			_exit(112);
		bytes -= done;
	}
	snprintf(text, sizeof text, "%lld\n", now());
	note(path, text);
}

int main(int argc, char **argv)
{
	char *words[3] = {0};
	char text[64];
	int count = 0;
	if (argc >= 2 && strchr(argv[1], ' ')) {
		for (char *word = strtok(argv[1], " "); word && count < 3; word = strtok(NULL, " "))
			words[count++] = word;
	} else {
		while (count < 3 && count + 1 < argc) {
			words[count] = argv[count + 1];
			count++;
		}
	}
	if (count < 2)
		return 2;
	if (strcmp(words[0], "fail") == 0) {
		note(words[1], ".");
		return 1;
	}
	if (count < 3)
		return 2;
	if (strcmp(words[0], "flood") == 0) {
		flood(words[1], atoll(words[2]));
	} else {
		snprintf(text, sizeof text, "%s %d %lld\n", words[2], (int)getpid(), now());
		note(words[1], text);
	}
	for (;;)
		pause();
}
