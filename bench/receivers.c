/* Readers that cost little: takes over sockets that are past their handshake, reads WebSocket frames, keeps account.
 * Usage: receivers raw FDS BYTES            says "complete" when every socket has got so many bytes
 *        receivers timed FDS EXPECTED          looks for "sent":<CLOCK_MONOTONIC ns> in whatever comes, frames or not; says
 *            "complete" when every socket has had EXPECTED of them; when stdin ends, a line of microseconds since then:
 *            how many, median, p99, p99.9, worst; of the last socket to get the n-th: median, p99, worst; and ns from
 *            the start of reading to "complete"
 *        receivers pusher FDS EXPECTED SAMPLED DIRECTORY
 * FDS is a file of descriptor numbers. "pusher" looks at each message of the Pusher protocol on each socket: which
 * channel, and the time stamp at its end, which must rise; says "complete" when every socket has got EXPECTED messages
 * on the broadcast channel. Ends when stdin ends, and writes into DIRECTORY: "sessions" (a line each), "last" (when the
 * last socket got the n-th broadcast message, CLOCK_MONOTONIC ns), "sampled" (a record per message of the first SAMPLED
 * sockets, whose text up to the time stamp goes into a CRC). */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 20, KEPT = 1 << 17 };

typedef struct {
  int fd;
  uint32_t kept;
  char *rest;
  uint64_t bytes, broadcast, private, health, other, stamp, disorder, broadcast_hash, private_hash, health_at;
  double least, most; /* seconds between health checks */
} Session;

typedef struct {
  uint64_t at, stamp;
  uint32_t crc, session, length, is_broadcast;
} Sampled;

static Session *sessions;
static uint64_t *last, total, expected, begun;
static int count, sampled;
static FILE *samples;
static uint32_t table[256];

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint32_t crc32_of(const unsigned char *text, size_t length) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < length; i++) crc = table[(crc ^ text[i]) & 255] ^ (crc >> 8);
  return ~crc;
}

static int begins(const char *text, size_t length, const char *with) {
  size_t n = strlen(with);
  return length >= n && !memcmp(text, with, n);
}

static void message(Session *s, const char *text, size_t length, uint64_t at) {
  if (begins(text, length, "{\"event\":\"health_check\"")) {
    if (at < begun + 1000000000ull) return; /* what had waited in the socket's buffer */
    if (s->health_at) {
      double seconds = (at - s->health_at) / 1e9;
      if (!s->least || seconds < s->least) s->least = seconds;
      if (seconds > s->most) s->most = seconds;
    }
    s->health_at = at;
    s->health++;
    return;
  }
  const char *channel = memmem(text, length < 200 ? length : 200, "\"channel\":\"", 11);
  if (!channel || begins(text, length, "{\"event\":\"pusher")) {
    s->other++;
    return;
  }
  const char *end = text + length - 3, *digit = end; /* ...123}"} */
  while (digit > text && digit[-1] >= '0' && digit[-1] <= '9') digit--;
  uint64_t stamp = strtoull(digit, 0, 10);
  s->disorder += stamp <= s->stamp;
  s->stamp = stamp;
  int is_broadcast = begins(channel + 11, length - (channel + 11 - text), "private-broadcast-");
  uint64_t *hash = is_broadcast ? &s->broadcast_hash : &s->private_hash;
  *hash = (*hash ^ stamp) * 1099511628211ull;
  if (s - sessions < sampled) {
    Sampled record = {at, stamp, crc32_of((const unsigned char *)text, digit - text), s - sessions, length, is_broadcast};
    fwrite(&record, sizeof record, 1, samples);
  }
  if (!is_broadcast) {
    s->private++;
    return;
  }
  if (s->broadcast < expected && last[s->broadcast] < at) last[s->broadcast] = at;
  s->broadcast++;
  total++;
}

/* Reads whole frames; what is left of a beginning one waits for the rest. */
static size_t frames(Session *s, const unsigned char *data, size_t length, uint64_t at) {
  size_t used = 0;
  while (length - used >= 2) {
    const unsigned char *f = data + used;
    size_t size = f[1] & 127, head = 2;
    if (size == 126) {
      if (length - used < 4) break;
      size = f[2] << 8 | f[3], head = 4;
    } else if (size == 127) {
      fprintf(stderr, "a frame of 64 KiB or more\n");
      exit(1);
    }
    if (length - used < head + size) break;
    if (f[0] == 0x81) message(s, (const char *)f + head, size, at);
    else if (f[0] == 0x89) send(s->fd, "\x8a\x80\0\0\0\0", 6, MSG_NOSIGNAL);
    else s->other++;
    used += head + size;
  }
  return used;
}

enum { BUCKET_NS = 10000, BUCKETS = 3000000 };
static uint32_t *spread;

static void late(uint64_t ns) { spread[ns / BUCKET_NS < BUCKETS ? ns / BUCKET_NS : BUCKETS - 1]++; }

static double quantile(uint64_t of, double part) {
  uint64_t rank = of * part, seen = 0;
  for (int i = 0; i < BUCKETS; i++)
    if ((seen += spread[i]) > rank) return (i + 0.5) * BUCKET_NS / 1e3;
  return 0;
}

/* Marks in a stream of bytes; what may be the beginning of one waits for the rest. */
static size_t marks(Session *s, const char *data, size_t length, uint64_t at) {
  static const char mark[] = "\"sent\":";
  const size_t n = sizeof mark - 1;
  const char *p = data, *end = data + length, *found;
  while ((found = memmem(p, end - p, mark, n))) {
    const char *digit = found + n;
    uint64_t sent = 0;
    while (digit < end && *digit >= '0' && *digit <= '9') sent = sent * 10 + (*digit++ - '0');
    if (digit == end) return found - data;
    p = digit;
    uint64_t took = at > sent ? at - sent : 0;
    late(took);
    if (s->broadcast < expected && last[s->broadcast] < took) last[s->broadcast] = took;
    if (++s->broadcast <= expected) total++;
  }
  return (size_t)(end - p) < n ? p - data : length - (n - 1);
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static void report(uint64_t completed) {
  uint64_t all = 0;
  for (Session *s = sessions; s < sessions + count; s++) all += s->broadcast;
  qsort(last, expected, sizeof *last, by_size);
  uint64_t n = expected ? expected : 1;
  printf("%lu %.0f %.0f %.0f %.0f %.0f %.0f %.0f %lu\n", all, quantile(all, 0.5), quantile(all, 0.99), quantile(all, 0.999),
         all ? quantile(all - 1, 1) : 0, last[n / 2] / 1e3, last[n * 99 / 100] / 1e3, last[n - 1] / 1e3,
         completed ? completed - begun : 0);
  fflush(stdout);
}

static void received(Session *s, int raw, char *room) {
  memcpy(room, s->rest, s->kept);
  ssize_t got = recv(s->fd, room + s->kept, ROOM - s->kept, MSG_DONTWAIT);
  if (got <= 0) {
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    fprintf(stderr, "a socket was closed\n");
    exit(1);
  }
  s->bytes += got;
  if (raw) {
    if (s->broadcast == 0 && s->bytes >= expected) s->broadcast = 1, total++;
    return;
  }
  size_t length = s->kept + got, used = spread ? marks(s, room, length, now()) : frames(s, (unsigned char *)room, length, now());
  s->kept = length - used;
  memcpy(s->rest, room + used, s->kept);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int raw = !strcmp(argv[1], "raw"), fd, poll = epoll_create1(0), said = 0;
  FILE *fds = fopen(argv[2], "r");
  expected = strtoull(argv[3], 0, 10);
  sessions = calloc(65536, sizeof *sessions);
  for (uint32_t i = 0; i < 256; i++) {
    table[i] = i;
    for (int bit = 0; bit < 8; bit++) table[i] = table[i] & 1 ? 0xEDB88320u ^ (table[i] >> 1) : table[i] >> 1;
  }
  while (fds && count < 65536 && fscanf(fds, "%d", &fd) == 1) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = count};
    sessions[count].fd = fd;
    sessions[count++].rest = malloc(KEPT);
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted)) return 1;
  }
  char *room = malloc(ROOM), path[4096];
  uint64_t completed = 0;
  last = calloc(expected + 1, sizeof *last);
  if (!strcmp(argv[1], "timed")) {
    spread = calloc(BUCKETS, sizeof *spread);
  } else if (!raw) {
    sampled = atoi(argv[4]);
    snprintf(path, sizeof path, "%s/sampled", argv[5]);
    if (!(samples = fopen(path, "w"))) return 1;
  }
  struct epoll_event stop = {.events = EPOLLIN, .data.u32 = UINT32_MAX}, events[512];
  if (epoll_ctl(poll, EPOLL_CTL_ADD, 0, &stop)) return 1;
  begun = now();
  puts("reading");
  fflush(stdout);
  for (int ended = 0; !ended;) {
    int ready = epoll_wait(poll, events, 512, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.u32 == UINT32_MAX) ended = 1;
      else received(&sessions[events[i].data.u32], raw, room);
    }
    if (!said && expected && total >= (raw ? 1 : expected) * (uint64_t)count) {
      completed = now();
      puts("complete");
      fflush(stdout);
      said = 1;
    }
  }
  if (spread) report(completed);
  if (raw || spread) return 0;
  fclose(samples);
  snprintf(path, sizeof path, "%s/last", argv[5]);
  FILE *out = fopen(path, "w");
  fwrite(last, sizeof *last, expected, out);
  fclose(out);
  snprintf(path, sizeof path, "%s/sessions", argv[5]);
  out = fopen(path, "w");
  for (Session *s = sessions; s < sessions + count; s++)
    fprintf(out, "%lu %lu %lu %lu %lu %lu %lu %lu %.6f %.6f\n", s->bytes, s->broadcast, s->private, s->health, s->other,
            s->disorder, s->broadcast_hash, s->private_hash, s->least, s->most);
  fclose(out);
  return 0;
}
