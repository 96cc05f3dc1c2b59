/* The limit of fan-out: accept N sockets, then write one message to each, R times. Prints CPU seconds and messages.
 * Usage: send_loop PORT SOCKETS ROUNDS BYTES PAUSE_US [SIZES]
 * With SIZES, a file of numbers, round r writes as many bytes as number r says, BYTES being the largest, and rounds begin
 * PAUSE_US apart: an open loop; each write begins with "sent":<CLOCK_MONOTONIC ns when its round was due>, where there is room. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
  if (argc != 6 && argc != 7) return 2;
  int port = atoi(argv[1]), sockets = atoi(argv[2]), rounds = atoi(argv[3]), bytes = atoi(argv[4]), pause = atoi(argv[5]);
  int *fd = calloc(sockets, sizeof *fd), *size = calloc(rounds, sizeof *size), on = 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  char *message = malloc(bytes);
  FILE *sizes = argc == 7 ? fopen(argv[6], "r") : 0;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  memset(message, 'x', bytes);
  for (int r = 0; r < rounds; r++)
    if (!sizes) size[r] = bytes;
    else if (fscanf(sizes, "%d", &size[r]) != 1 || size[r] > bytes) return 2;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return 1;
  puts("listening");
  fflush(stdout);
  for (int i = 0; i < sockets; i++) {
    fd[i] = accept(listener, 0, 0);
    setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  long sent = 0;
  struct timespec due;
  clock_gettime(CLOCK_MONOTONIC, &due);
  double before = cpu();
  for (int r = 0; r < rounds; r++) {
    if (size[r] >= 40) memset(message, ' ', 40), message[sprintf(message, "\"sent\":%lu,", due.tv_sec * 1000000000ul + due.tv_nsec)] = ' ';
    for (int i = 0; i < sockets; i++) sent += send(fd[i], message, size[r], 0) == size[r];
    if (!sizes) {
      usleep(pause);
      continue;
    }
    due.tv_nsec += pause * 1000L;
    due.tv_sec += due.tv_nsec / 1000000000L;
    due.tv_nsec %= 1000000000L;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, 0);
  }
  printf("%.6f %ld\n", cpu() - before, sent);
  fflush(stdout);
  sleep(1);
  return 0;
}
