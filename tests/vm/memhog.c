// SPDX-License-Identifier: GPL-2.0
/*
 * memhog: uses memory in the test guest, in the ways that a balloon must cope
 * with.  SIZE is in bytes, or takes K, M or G.
 *
 *	touch SIZE		write to every page, exit
 *	hold SIZE		the same, print "held", stay until killed
 *	fragment SIZE		the same, then free every other page, print "held", stay
 *	check SIZE		fill with a pattern, print "held"; on each SIGUSR1
 *				verify it, print "ok" or "bad N" (pages)
 *	job SIZE		fill with a pattern and sum it up, print "MiB done"
 *				as it goes, and the sum; waits while less than
 *				SPARE MiB are available
 *	churn SIZE SECONDS	map, touch and unmap 1 MiB pieces, SIZE of them held
 *				at a time; print microseconds a piece
 *	hog			take memory until killed
 */
#define _GNU_SOURCE
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE	((size_t)sysconf(_SC_PAGESIZE))
#define MIB	((size_t)1 << 20)
#define SAMPLES	(1 << 20)
#define SPARE	16

static size_t parse_size(const char *text)
{
	char *end;
	size_t n = strtoull(text, &end, 0);

	switch (*end) {
	case 'G':
		n <<= 10;	/* fall through */
	case 'M':
		n <<= 10;	/* fall through */
	case 'K':
		n <<= 10;
		end++;
	}
	if (*end || !n) {
		fprintf(stderr, "memhog: bad size '%s': a number, with K, M or G\n", text);
		exit(2);
	}
	return n;
}

static char *map(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("memhog: mmap");
		exit(1);
	}
	return p;
}

static char *touch(char *p, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		p[i] = 1;
	return p;
}

/* A value that no other word of the mapping has, and never 0. */
static uint64_t word(size_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

static uint64_t *fill(uint64_t *p, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*p); i++)
		p[i] = word(i);
	return p;
}

static void stay(void)
{
	puts("held");
	for (;;)
		pause();
}

static void fragment(size_t size)
{
	char *p = map(size);

	madvise(p, size, MADV_NOHUGEPAGE);
	touch(p, size);
	for (size_t i = 0; i < size; i += 2 * PAGE)
		madvise(p + i, PAGE, MADV_DONTNEED);
	stay();
}

static void check(size_t size)
{
	uint64_t *p;
	sigset_t usr1;
	int sig;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	p = fill((uint64_t *)map(size), size);
	puts("held");
	while (!sigwait(&usr1, &sig)) {
		size_t bad = 0, last = -1;

		for (size_t i = 0; i < size / sizeof(*p); i++)
			if (p[i] != word(i) && i * sizeof(*p) / PAGE != last) {
				last = i * sizeof(*p) / PAGE;
				bad++;
			}
		if (bad)
			printf("bad %zu\n", bad);
		else
			puts("ok");
	}
}

/* A job that is good to its machine: it would rather wait than be killed. */
static void wait_for_memory(size_t done)
{
	unsigned long kib;
	int said = 0;

	for (;; usleep(100000)) {
		FILE *f = fopen("/proc/meminfo", "r");

		if (!f || fscanf(f, "%*[^\n] %*[^\n] MemAvailable: %lu", &kib) != 1)
			kib = ULONG_MAX;
		if (f)
			fclose(f);
		if (kib / 1024 >= SPARE)
			return;
		if (!said++)
			printf("%zu MiB done, waits for memory\n", done / MIB);
	}
}

static void job(size_t size)
{
	uint64_t *p = (uint64_t *)map(size), sum = 0;

	for (size_t done = 0; done < size; done += MIB) {
		size_t i = done / sizeof(*p), end = (done + MIB) / sizeof(*p);

		wait_for_memory(done);
		for (; i < end && i < size / sizeof(*p); i++)
			p[i] = word(i);
		if (!(done / MIB % 16))
			printf("%zu MiB done\n", done / MIB);
	}
	for (size_t i = 0; i < size / sizeof(*p); i++)
		sum += p[i];
	printf("%zu MiB done\nsum %016llx\n", size / MIB, (unsigned long long)sum);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static void churn(size_t size, double seconds)
{
	size_t pieces = size / MIB ? size / MIB : 1, n = 0;
	char **piece = calloc(pieces, sizeof(*piece));
	float *us = calloc(SAMPLES, sizeof(*us));
	double end = now_us() + seconds * 1e6, start;

	while (n < SAMPLES && (start = now_us()) < end) {
		char **slot = &piece[n % pieces];

		if (*slot)
			munmap(*slot, MIB);
		*slot = touch(map(MIB), MIB);
		us[n++] = now_us() - start;
	}
	if (!n)
		exit(1);
	qsort(us, n, sizeof(*us), compare);
	printf("count %zu p50 %.0f p99 %.0f max %.0f\n",
	       n, us[n / 2], us[n * 99 / 100], us[n - 1]);
}

static void hog(void)
{
	for (;;)
		touch(map(MIB), MIB);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	size_t size = argc > 2 ? parse_size(argv[2]) : 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "hog") && argc == 2)
		hog();
	else if (!strcmp(what, "churn") && argc == 4)
		churn(size, atof(argv[3]));
	else if (argc != 3)
		goto usage;
	else if (!strcmp(what, "touch"))
		touch(map(size), size);
	else if (!strcmp(what, "hold"))
		touch(map(size), size), stay();
	else if (!strcmp(what, "fragment"))
		fragment(size);
	else if (!strcmp(what, "check"))
		check(size);
	else if (!strcmp(what, "job"))
		job(size);
	else
		goto usage;
	return 0;
usage:
	fprintf(stderr, "usage: memhog touch|hold|fragment|check|job SIZE\n"
			"       memhog churn SIZE SECONDS\n"
			"       memhog hog\n");
	return 2;
}
