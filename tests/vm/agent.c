// SPDX-License-Identifier: GPL-2.0
/*
 * agent: runs in the test guest and does what the host asks, over one tty.
 *
 *	request:  SOH "ID OP TIMEOUT LEN\n" payload
 *	reply:    SOH "ID + LEN\n" payload	(output, any number of times)
 *		  SOH "ID RC 0\n"		(the end)
 *
 * Whatever is not a frame is skipped up to the next SOH, and a request that
 * stays incomplete for STALE_MS is dropped.  The agent announces itself with
 * "0 0 0" when it starts, so that the host sees every boot.
 *
 *	sh	run a command; RC is its status, 128 + signal, or 124 if it had
 *		to be killed after TIMEOUT seconds (0: never)
 *	bg	start a command, put its process group (= pid) out, don't wait
 *	read	put a file out; RC is an errno
 *	write	"PATH\0DATA": one open, one write; RC is an errno
 *	append	the same, at the end of the file
 *	ping	nothing
 *
 * All memory is static and locked and nothing is allocated, so that read and
 * ping work in a guest without a free page, also beside running commands.
 * Output is passed on as it comes, up to OUTPUT_MAX bytes a request.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SOH		1
#define HEAD_MAX	64
#define PAYLOAD_MAX	(64 * 1024)
#define OUTPUT_MAX	(1024 * 1024)
#define CHUNK		4096
#define STALE_MS	5000
#define JOBS		16

struct job {
	long id;		/* of the request; 0: the slot is free */
	pid_t pid;
	int fd;			/* read end of the output pipe; -1: at its end */
	long long deadline;	/* ms; 0: none */
	size_t room;		/* bytes of output still passed on */
};

static struct job jobs[JOBS];
static char in[HEAD_MAX + PAYLOAD_MAX + 1];
static size_t in_len;
static long long in_time;
static const char *tty_path;
static int tty = -1;

/* Monotonic, so that time spent suspended does not count. */
static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	while (write(fd, text, strlen(text)) < 0 && errno == EINTR)
		;
	close(fd);
}

static void open_tty(void)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	struct termios t;

	if (tty >= 0)
		close(tty);
	while ((tty = open(tty_path, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
		nanosleep(&pause, NULL);
	if (!tcgetattr(tty, &t)) {
		cfmakeraw(&t);
		t.c_cflag |= CLOCAL;
		tcsetattr(tty, TCSANOW, &t);
	}
	in_len = 0;
}

static void put(const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(tty, buf, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			open_tty();
			return;
		}
		if (n > 0) {
			buf += n;
			len -= n;
		}
	}
}

static void put_output(long id, const char *buf, size_t len)
{
	char head[HEAD_MAX];

	put(head, sprintf(head, "%c%ld + %zu\n", SOH, id, len));
	put(buf, len);
}

static void put_end(long id, int rc)
{
	char head[HEAD_MAX];

	put(head, sprintf(head, "%c%ld %d 0\n", SOH, id, rc));
}

/* Start sh -c cmd in a session of its own, its output to fd (-1: nowhere). */
static pid_t spawn(const char *cmd, int fd)
{
	pid_t pid = fork();
	sigset_t none;

	if (pid)
		return pid;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	put_file("/proc/self/oom_score_adj", "0");
	dup2(open("/dev/null", O_RDWR | O_CLOEXEC), 0);
	dup2(fd < 0 ? 0 : fd, 1);
	dup2(1, 2);
	execl("/bin/sh", "sh", "-c", cmd, NULL);
	_exit(127);
}

static void start_job(long id, const char *cmd, long timeout)
{
	struct job *job = jobs;
	int fds[2];

	while (job < jobs + JOBS && job->id)
		job++;
	if (job == jobs + JOBS || pipe2(fds, O_CLOEXEC)) {
		put_end(id, 126);
		return;
	}
	job->pid = spawn(cmd, fds[1]);
	close(fds[1]);
	if (job->pid < 0) {
		close(fds[0]);
		put_end(id, 126);
		return;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	job->id = id;
	job->fd = fds[0];
	job->deadline = timeout ? now_ms() + timeout * 1000LL : 0;
	job->room = OUTPUT_MAX;
}

/* Pass on what is in the pipe; false when there is no more, for now or ever. */
static int drain_job(struct job *job)
{
	char buf[CHUNK];
	ssize_t n = read(job->fd, buf, sizeof(buf));

	if (!n) {
		close(job->fd);
		job->fd = -1;
	}
	if (n <= 0)
		return n < 0 && errno == EINTR;
	if ((size_t)n > job->room)
		n = job->room;
	job->room -= n;
	if (n)
		put_output(job->id, buf, n);
	return 1;
}

/*
 * A job ends with its shell, even if a grandchild keeps the pipe open, or with
 * its deadline, even if it hangs in the kernel and cannot be killed.
 */
static void end_job(struct job *job, int rc)
{
	int rounds = OUTPUT_MAX / CHUNK;

	while (rounds-- && drain_job(job))
		;
	if (job->fd >= 0)
		close(job->fd);
	put_end(job->id, rc);
	job->id = 0;
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (struct job *job = jobs; job < jobs + JOBS; job++)
			if (job->id && job->pid == pid)
				end_job(job, WIFEXITED(status) ? WEXITSTATUS(status)
							       : 128 + WTERMSIG(status));
}

static void start_bg(long id, const char *cmd)
{
	pid_t pid = spawn(cmd, -1);
	char text[16];

	if (pid > 0)
		put_output(id, text, sprintf(text, "%d", pid));
	put_end(id, pid > 0 ? 0 : errno);
}

static void read_file(long id, const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	size_t room = OUTPUT_MAX;
	char buf[CHUNK];
	ssize_t n = fd;

	while (n >= 0 && room && (n = read(fd, buf, sizeof(buf))) > 0) {
		if ((size_t)n > room)
			n = room;
		room -= n;
		put_output(id, buf, n);
	}
	put_end(id, n < 0 && errno != EAGAIN ? errno : 0);
	if (fd >= 0)
		close(fd);
}

static void write_file(long id, const char *path, size_t len, int flag)
{
	size_t skip = strnlen(path, len) + 1;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flag, 0755);
	int rc = 0;

	if (fd < 0 || (len > skip && write(fd, path + skip, len - skip) < 0))
		rc = errno;
	put_end(id, rc);
	if (fd >= 0)
		close(fd);
}

static void serve(long id, const char *op, long timeout, char *payload, size_t len)
{
	if (!strcmp(op, "sh"))
		start_job(id, payload, timeout);
	else if (!strcmp(op, "bg"))
		start_bg(id, payload);
	else if (!strcmp(op, "read"))
		read_file(id, payload);
	else if (!strcmp(op, "write"))
		write_file(id, payload, len, O_TRUNC);
	else if (!strcmp(op, "append"))
		write_file(id, payload, len, O_APPEND);
	else
		put_end(id, strcmp(op, "ping") ? EINVAL : 0);
}

static void forget(size_t n)
{
	memmove(in, in + n, in_len -= n);
}

/* Serve one request; false when the buffer holds no complete one. */
static int next_request(void)
{
	char *soh = memchr(in, SOH, in_len), *end, op[8], kept;
	size_t head, len;
	long id, timeout;

	forget(soh ? (size_t)(soh - in) : in_len);
	if (!in_len)
		return 0;
	end = memchr(in, '\n', in_len < HEAD_MAX ? in_len : HEAD_MAX);
	if (!end && in_len < HEAD_MAX)
		return 0;
	if (!end || sscanf(in + 1, "%ld %7s %ld %zu", &id, op, &timeout, &len) != 4 ||
	    len > PAYLOAD_MAX) {
		forget(1);
		return 1;
	}
	head = end + 1 - in;
	if (in_len < head + len)
		return 0;
	kept = in[head + len];
	in[head + len] = '\0';
	serve(id, op, timeout, in + head, len);
	if (in_len) {		/* else the tty was opened anew */
		in[head + len] = kept;
		forget(head + len);
	}
	return 1;
}

static void read_tty(void)
{
	ssize_t n = read(tty, in + in_len, sizeof(in) - 1 - in_len);

	if (n > 0) {
		in_len += n;
		in_time = now_ms();
		while (next_request())
			;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		open_tty();
	}
}

static void check_deadlines(void)
{
	long long now = now_ms();

	for (struct job *job = jobs; job < jobs + JOBS; job++)
		if (job->id && job->deadline && now >= job->deadline) {
			kill(-job->pid, SIGKILL);
			end_job(job, 124);
		}
	if (in_len && now - in_time >= STALE_MS) {
		forget(1);
		while (next_request())
			;
	}
}

/* Milliseconds until check_deadlines() has something to do, or -1. */
static int next_deadline(void)
{
	long long first = in_len ? in_time + STALE_MS : 0, left;

	for (struct job *job = jobs; job < jobs + JOBS; job++)
		if (job->id && job->deadline && (!first || job->deadline < first))
			first = job->deadline;
	if (!first)
		return -1;
	left = first - now_ms();
	return left > 0 ? left : 0;
}

int main(int argc, char **argv)
{
	struct signalfd_siginfo info;
	struct pollfd p[2 + JOBS];
	sigset_t chld;

	if (argc != 2) {
		fprintf(stderr, "usage: agent TTY\n");
		return 2;
	}
	tty_path = argv[1];
	mlockall(MCL_CURRENT | MCL_FUTURE);
	put_file("/proc/self/oom_score_adj", "-1000");
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	p[1].fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	open_tty();
	put_end(0, 0);

	for (;;) {
		p[0].fd = tty;
		for (int i = 0; i < JOBS; i++)
			p[2 + i].fd = jobs[i].id ? jobs[i].fd : -1;
		for (int i = 0; i < 2 + JOBS; i++)
			p[i].events = POLLIN;
		if (poll(p, 2 + JOBS, next_deadline()) < 0)
			continue;
		if (p[0].revents)
			read_tty();
		for (int i = 0; i < JOBS; i++)
			if (p[2 + i].revents && jobs[i].id)
				drain_job(&jobs[i]);
		if (p[1].revents && read(p[1].fd, &info, sizeof(info)) > 0)
			reap();
		check_deadlines();
	}
}
