// SPDX-License-Identifier: GPL-2.0
/*
 * meminfo MIB: what a monitor sees.  Reads /proc/meminfo over and over until it
 * gets SIGTERM; then prints how often MemTotal was above MemFree by more than so
 * many MiB, of how many readings, and the most that it was, in KiB.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	(void)sig;
	stopped = 1;
}

/* MemTotal less MemFree; the first two lines of the file. */
static long used(int fd)
{
	char text[4096];
	long total, free;
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	if (len <= 0)
		exit(1);
	text[len] = '\0';
	if (sscanf(text, "MemTotal: %ld kB MemFree: %ld", &total, &free) != 2)
		exit(1);
	return total - free;
}

int main(int argc, char **argv)
{
	long now, limit, nr = 0, above = 0, most = LONG_MIN;
	int fd = open("/proc/meminfo", O_RDONLY);

	if (argc != 2 || fd < 0) {
		fprintf(stderr, "usage: meminfo MIB\n");
		return 2;
	}
	limit = atol(argv[1]) * 1024;
	signal(SIGTERM, stop);
	puts("reads");
	fflush(stdout);
	for (; !stopped; nr++) {
		now = used(fd);
		above += now > limit;
		most = now > most ? now : most;
	}
	printf("%ld of %ld above, %ld\n", above, nr, most);
	return 0;
}
