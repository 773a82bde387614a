/* wsload - websocket pub/sub load generator (RFC 6455 client side), one thread, epoll.
 *
 * One model covers every workload:  G groups, each with one publisher and S subscribers
 * on the group's own topic.
 *     fan-out        --groups 1   --subs N
 *     1:1 relay      --groups P   --subs 1
 *     rooms          --groups G   --subs S
 * and one way of driving it per run:
 *     --window W     keep W messages in flight per group  (W=1: closed loop; large W: saturation)
 *     --rate R       R messages/s per group on a fixed timetable; latency is counted from the
 *                    time the message was DUE, so a stalled server cannot hide its queue
 *     --idle SEC     connect, subscribe, hold, report server memory
 *     --connect      connect and subscribe only, report the rate
 * How to log in, subscribe and publish is read from a dialect file (see dialects/README).
 * A delivery is recognised by a marker inside the payload, wherever the server's envelope puts
 * it, so no dialect needs a parser:  "@WSL" type(1) sendtime(16 hex, ns) seq(8 hex) group(8 hex)
 * at the END of the payload, i.e. it is counted when the payload's last byte has arrived.
 *
 * Logging in to a relay that asks for a signature (see dialects/README): bytes of a received frame are captured by
 * name, fresh random ones are drawn, and {sign:..} makes an Ed25519 signature over any of it (libsodium).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

typedef uint64_t u64;
typedef uint32_t u32;
typedef uint8_t u8;
static u64 now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void die(const char *f, ...) {
  va_list a;
  va_start(a, f);
  fprintf(stderr, "wsload: ");
  vfprintf(stderr, f, a);
  fputc('\n', stderr);
  va_end(a);
  exit(2);
}
static u64 rs = 0x9E3779B97F4A7C15ull;
static u64 rnd(void) {
  rs ^= rs << 13;
  rs ^= rs >> 7;
  rs ^= rs << 17;
  return rs;
}

/* ---------- latency histogram: 1/128 relative resolution ---------- */
#define HSUB 7
#define HN ((64 - HSUB + 1) << HSUB)
typedef struct {
  u64 n, max;
  double sum;
  u32 b[HN];
} hist;
static void h_add(hist *h, u64 v) {
  int i;
  if (v < (1u << HSUB))
    i = v;
  else {
    int e = 63 - __builtin_clzll(v);
    i = ((e - HSUB + 1) << HSUB) + ((v >> (e - HSUB)) & ((1 << HSUB) - 1));
  }
  h->b[i]++;
  h->n++;
  h->sum += v;
  if (v > h->max)
    h->max = v;
}
static double h_pct(hist *h, double q) {
  if (!h->n)
    return 0;
  u64 want = (u64)(q * h->n);
  if (want >= h->n)
    want = h->n - 1;
  u64 c = 0;
  for (int i = 0; i < HN; i++) {
    c += h->b[i];
    if (c > want) {
      if (i < (1 << HSUB))
        return i;
      int e = (i >> HSUB) + HSUB - 1;
      u64 m = i & ((1 << HSUB) - 1);
      return (double)(((1ull << HSUB) | m) << (e - HSUB));
    }
  }
  return h->max;
}

/* ---------- byte buffer with patch points ---------- */
enum { PT_PAYLOAD, PT_SEQHEX, PT_SEQ32, PT_RND };
typedef struct {
  int kind, off, len;
} patch;
typedef struct {
  u8 *p;
  size_t n, cap;
  patch pt[8];
  int npt;
} buf;
static void b_put(buf *b, const void *d, size_t n) {
  if (b->n + n > b->cap) {
    b->cap = (b->n + n) * 2 + 64;
    b->p = realloc(b->p, b->cap);
    if (!b->p)
      die("oom");
  }
  memcpy(b->p + b->n, d, n);
  b->n += n;
}
static void b_patch(buf *b, int kind, int len) {
  if (b->npt == 8)
    die("too many patches");
  b->pt[b->npt++] = (patch){kind, (int)b->n, len};
  for (int i = 0; i < len; i++)
    b_put(b, "\0", 1);
}

/* ---------- values of one connection: captured or drawn, by name ---------- */
#define VALS 4
typedef struct {
  u8 n[VALS];
  u8 v[VALS][64];
} values;
static char *val_names[VALS];
static int val_slot(const char *name) {
  int i = 0;
  while (i < VALS && val_names[i] && strcmp(val_names[i], name))
    i++;
  if (i == VALS)
    die("dialect: more than %d values", VALS);
  if (!val_names[i])
    val_names[i] = strdup(name);
  return i;
}
static char *o_prefix = "t";
static int o_idbase;
/* ---------- templates ---------- */
typedef struct {
  const char *sub, *pub, *topic;
  int id, plen, group;
  const values *vals;
} tctx;
static void put_line(buf *o, const char *fn, int id, int is_hex) {
  static struct {
    char *name, **lines;
    int n;
  } files[8];
  int f = 0;
  while (f < 8 && files[f].name && strcmp(files[f].name, fn))
    f++;
  if (f == 8)
    die("dialect: more than 8 files of lines");
  if (!files[f].name) {
    FILE *in = fopen(fn, "r");
    if (!in)
      die("%s: %s", fn, strerror(errno));
    files[f].name = strdup(fn);
    char *l = NULL;
    size_t cap = 0;
    while (getline(&l, &cap, in) > 0) {
      l[strcspn(l, "\r\n")] = 0;
      files[f].lines = realloc(files[f].lines, (files[f].n + 1) * sizeof *files[f].lines);
      files[f].lines[files[f].n++] = strdup(l);
    }
    free(l);
    fclose(in);
    if (!files[f].n)
      die("%s is empty", fn);
  }
  int n = files[f].n;
  char **lines = files[f].lines;
  const char *l = lines[id % n];
  if (!is_hex) {
    b_put(o, l, strlen(l));
    return;
  }
  for (; l[0] && l[1]; l += 2) {
    char h[3] = {l[0], l[1], 0};
    u8 v = strtoul(h, 0, 16);
    b_put(o, &v, 1);
  }
}
/* s: template source, evaluated up to the closing '}' of the group (depth>0) or the end */
static const char *t_eval(const char *s, buf *o, const tctx *c, int depth) {
  while (*s) {
    if (*s == '}' && depth)
      return s + 1;
    if (*s == '\\') {
      s++;
      char ch = *s++;
      switch (ch) {
      case 'r':
        b_put(o, "\r", 1);
        break;
      case 'n':
        b_put(o, "\n", 1);
        break;
      case 't':
        b_put(o, "\t", 1);
        break;
      case 'x': {
        char h[3] = {s[0], s[1], 0};
        u8 v = strtoul(h, 0, 16);
        b_put(o, &v, 1);
        s += 2;
        break;
      }
      default:
        b_put(o, &ch, 1);
      }
      continue;
    }
    if (*s != '{') {
      b_put(o, s, 1);
      s++;
      continue;
    }
    s++;
    char nm[16];
    int k = 0;
    while (*s && *s != ':' && *s != '}' && k < 15)
      nm[k++] = *s++;
    nm[k] = 0;
    if (*s == '}') {
      s++;
      char num[24];
      const char *v = NULL;
      if (!strcmp(nm, "topic"))
        v = c->topic;
      else if (!strcmp(nm, "sub"))
        v = c->sub;
      else if (!strcmp(nm, "pub"))
        v = c->pub;
      else if (!strcmp(nm, "role"))
        v = *c->sub != '-' ? "sub" : "pub";
      else if (!strcmp(nm, "id")) {
        sprintf(num, "%d", c->id + o_idbase);
        v = num;
      } else if (!strcmp(nm, "plen")) {
        sprintf(num, "%d", c->plen);
        v = num;
      } else if (!strcmp(nm, "ms48")) { /* Unix milliseconds in 6 bytes, of when the template was read */
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        u64 ms = t.tv_sec * 1000ull + t.tv_nsec / 1000000;
        for (int i = 5; i >= 0; i--) {
          u8 b = ms >> (8 * i);
          b_put(o, &b, 1);
        }
        continue;
      } else if (!strcmp(nm, "payload")) {
        b_patch(o, PT_PAYLOAD, c->plen);
        continue;
      } else if (!strcmp(nm, "seq")) {
        b_patch(o, PT_SEQHEX, 8);
        continue;
      } else if (!strcmp(nm, "seq32")) {
        b_patch(o, PT_SEQ32, 4);
        continue;
      } else
        die("dialect: unknown variable {%s}", nm);
      b_put(o, v, strlen(v));
      continue;
    }
    if (*s != ':')
      die("dialect: bad group near {%s", nm);
    s++;
    if (!strcmp(nm, "rnd")) {
      int n = atoi(s);
      while (*s && *s != '}')
        s++;
      if (*s)
        s++;
      b_patch(o, PT_RND, n);
      continue;
    }
    if (!strcmp(nm, "val")) {
      char vn[32];
      int n = 0;
      while (*s && *s != '}' && n < 31)
        vn[n++] = *s++;
      vn[n] = 0;
      if (*s)
        s++;
      int i = val_slot(vn);
      if (c->vals)
        b_put(o, c->vals->v[i], c->vals->n[i]);
      continue;
    }
    int of_group = !strcmp(nm, "hexgroup"); /* line number {group} of a file: topics that every member names */
    if (of_group || !strcmp(nm, "line") || !strcmp(nm, "hexline")) { /* line number {id} of a file: ready-made tokens, hellos */
      char fn[256];
      int n = 0;
      while (*s && *s != '}' && n < 255)
        fn[n++] = *s++;
      fn[n] = 0;
      if (*s)
        s++;
      put_line(o, fn, of_group ? c->group : c->id, nm[0] == 'h');
      continue;
    }
    buf in = {0};
    s = t_eval(s, &in, c, depth + 1);
    size_t n = in.n;
    u8 h[5];
    if (!strcmp(nm, "sign")) { /* the first 32 bytes are the seed of the key, the others what is signed */
      if (n < 32 || in.npt)
        die("dialect: {sign:..} is a seed of 32 bytes and a message without payload");
      u8 pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES], sig[crypto_sign_BYTES];
      crypto_sign_seed_keypair(pk, sk, in.p);
      crypto_sign_detached(sig, NULL, in.p + 32, n - 32, sk);
      b_put(o, sig, sizeof sig);
      free(in.p);
      continue;
    }
    if (!strcmp(nm, "u8")) {
      h[0] = n;
      b_put(o, h, 1);
    } else if (!strcmp(nm, "u16")) {
      h[0] = n >> 8;
      h[1] = n;
      b_put(o, h, 2);
    } else if (!strcmp(nm, "u32")) {
      h[0] = n >> 24;
      h[1] = n >> 16;
      h[2] = n >> 8;
      h[3] = n;
      b_put(o, h, 4);
    } else if (!strcmp(nm, "vb")) {
      do {
        h[0] = n & 127;
        n >>= 7;
        if (n)
          h[0] |= 128;
        b_put(o, h, 1);
      } while (n);
    } else if (!strcmp(nm, "mpbin")) {
      if (n < 256) {
        h[0] = 0xc4;
        h[1] = n;
        b_put(o, h, 2);
      } else if (n < 65536) {
        h[0] = 0xc5;
        h[1] = n >> 8;
        h[2] = n;
        b_put(o, h, 3);
      } else {
        h[0] = 0xc6;
        h[1] = n >> 24;
        h[2] = n >> 16;
        h[3] = n >> 8;
        h[4] = n;
        b_put(o, h, 5);
      }
    } else if (!strcmp(nm, "mpstr")) {
      if (n < 32) {
        h[0] = 0xa0 | n;
        b_put(o, h, 1);
      } else if (n < 256) {
        h[0] = 0xd9;
        h[1] = n;
        b_put(o, h, 2);
      } else {
        h[0] = 0xda;
        h[1] = n >> 8;
        h[2] = n;
        b_put(o, h, 3);
      }
    } else
      die("dialect: unknown group {%s:", nm);
    for (int i = 0; i < in.npt; i++) {
      if (o->npt == 8)
        die("too many patches");
      o->pt[o->npt] = in.pt[i];
      o->pt[o->npt++].off += o->n;
    }
    b_put(o, in.p, in.n);
    free(in.p);
  }
  if (depth)
    die("dialect: missing }");
  return s;
}

/* ---------- dialect ---------- */
typedef struct {
  int who; /*0 all 1 sub 2 pub*/
  enum { SEND, EXPECT, CAPTURE, RANDOM } what;
  char *t;
  int slot, off, len; /* of CAPTURE and RANDOM */
} step;
static struct {
  char name[64];
  char *path, *subproto, *publish;
  char *ping, *pong; /* a frame that begins with the one is answered with the other in its place */
  char *hdr[8];
  int nhdr;
  int text;
  step st[32];
  int nst;
} D;
static char *unq(char *s) {
  while (isspace((u8)*s))
    s++;
  size_t n = strlen(s);
  while (n && isspace((u8)s[n - 1]))
    s[--n] = 0;
  if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
    s[n - 1] = 0;
    s++;
  }
  return strdup(s);
}
static void d_load(const char *fn) {
  D.path = (char *)"/";
  D.publish = (char *)"{payload}";
  snprintf(D.name, sizeof D.name, "%s", fn);
  FILE *f = fopen(fn, "r");
  if (!f)
    die("dialect %s: %s", fn, strerror(errno));
  char l[4096];
  while (fgets(l, sizeof l, f)) {
    char *p = l;
    while (isspace((u8)*p))
      p++;
    if (!*p || *p == '#')
      continue;
    char *k = p;
    while (*p && !isspace((u8)*p))
      p++;
    if (*p)
      *p++ = 0;
    if (!strcmp(k, "name")) {
      char *v = unq(p);
      snprintf(D.name, sizeof D.name, "%s", v);
    } else if (!strcmp(k, "path"))
      D.path = unq(p);
    else if (!strcmp(k, "subprotocol"))
      D.subproto = unq(p);
    else if (!strcmp(k, "header"))
      D.hdr[D.nhdr++] = unq(p);
    else if (!strcmp(k, "ping"))
      D.ping = unq(p);
    else if (!strcmp(k, "pong"))
      D.pong = unq(p);
    else if (!strcmp(k, "publish"))
      D.publish = unq(p);
    else if (!strcmp(k, "opcode")) {
      char *v = unq(p);
      D.text = !strcmp(v, "text");
    } else if (!strcmp(k, "all") || !strcmp(k, "sub") || !strcmp(k, "pub")) {
      while (isspace((u8)*p))
        p++;
      char *v = p;
      while (*p && !isspace((u8)*p))
        p++;
      if (*p)
        *p++ = 0;
      step *s = &D.st[D.nst++];
      s->who = !strcmp(k, "all") ? 0 : !strcmp(k, "sub") ? 1 : 2;
      char name[32];
      s->what = EXPECT;
      if (!strcmp(v, "send"))
        s->what = SEND;
      else if (!strcmp(v, "capture") && sscanf(p, "%31s %d %d", name, &s->off, &s->len) == 3)
        s->what = CAPTURE;
      else if (!strcmp(v, "random") && sscanf(p, "%31s %d", name, &s->len) == 2)
        s->what = RANDOM;
      else if (strcmp(v, "expect"))
        die("dialect: %s", v);
      if (s->what >= CAPTURE && (s->len < 1 || s->len > 64 || s->off < 0))
        die("dialect: %s of 1 to 64 bytes", v);
      if (s->what >= CAPTURE)
        s->slot = val_slot(name);
      s->t = unq(p);
    } else
      die("dialect: unknown key %s", k);
  }
  fclose(f);
}

/* ---------- options and state ---------- */
static char *o_host = "127.0.0.1";
static int o_ports[16], o_nport;
static int o_groups = 1, o_subs = 100, o_window, o_size = 128, o_cc = 64, o_connect, o_spin, o_tls, o_cpu = -1,
           o_verbose;
static double o_rate, o_idle, o_dur = 4, o_warm = 1;
static char *o_label = "", *o_pids = "", *o_workload = "";
static int o_stall_ms = 2000;
static double o_maxtime = 60;
enum { S_NEW, S_CONN, S_TLS, S_HTTP, S_STEPS, S_READY, S_DEAD };
typedef struct conn {
  int fd, state, id, group, is_pub, step, want_out, port;
  u8 *rx;
  u32 rxn, rxcap;
  u8 *tx;
  u32 txn, txo, txcap;
  u64 t0;
  u32 next_seq;
  u8 warm;
  u8 ncarry;
  u8 carry[40];
  u64 got;
  values *vals;
#ifdef WITH_TLS
  SSL *ssl;
#endif
} conn;
typedef struct {
  conn *pub;
  u64 sent;
  u64 deliv;
  u64 lost;
  buf tmpl;
  u8 dirty;
  int hdr;
  u64 last;
} group;
typedef struct {
  u64 ts, first;
  u32 cnt;
} mrec;
static conn *C;
static int NC;
static group *G;
static int ep;
static mrec *M;
static u64 Mcap;
static int n_ready, n_dead, n_started, n_pending;
static int measuring;
static u64 m_deliv, m_sent, tot_deliv, gaps, dups, stalls, rxbytes, m_rxbytes, badhs, pongs;
static int warm_left;
static u64 last_delivery;
static hist H_all, H_first, H_last, H_conn;
static int phase; /*0 connect 1 warm 2 run 3 drain*/
static int *dirty, ndirty;
#define RXB (8u << 20)
static u8 *RX;
#ifdef WITH_TLS
static SSL_CTX *ctx;
#endif
static const char HX[] = "0123456789abcdef";
static u8 UN[256];
static void hex(u8 *p, u64 v, int n) {
  for (int i = n - 1; i >= 0; i--) {
    p[i] = HX[v & 15];
    v >>= 4;
  }
}
static u64 unhex(const u8 *p, int n) {
  u64 v = 0;
  for (int i = 0; i < n; i++)
    v = v << 4 | UN[p[i]];
  return v;
}

static void c_kill(conn *c, const char *why) {
  if (c->state == S_DEAD)
    return;
  if (o_verbose || n_dead < 5)
    fprintf(stderr, "wsload: conn %d (%s) lost in state %d: %s\n", c->id, c->is_pub ? "pub" : "sub", c->state, why);
  if (c->state < S_READY)
    n_pending--;
  else
    n_ready--;
  c->state = S_DEAD;
  n_dead++;
  if (c->fd >= 0)
    close(c->fd);
  c->fd = -1;
}
static void c_ev(conn *c, int out) {
  if (out == c->want_out)
    return;
  c->want_out = out;
  struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static ssize_t c_write(conn *c, const void *p, size_t n) {
#ifdef WITH_TLS
  if (c->ssl) {
    int r = SSL_write(c->ssl, p, n);
    if (r > 0)
      return r;
    int e = SSL_get_error(c->ssl, r);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
      errno = EAGAIN;
      return -1;
    }
    errno = EPIPE;
    return -1;
  }
#endif
  return send(c->fd, p, n, MSG_NOSIGNAL);
}
static ssize_t c_read(conn *c, void *p, size_t n) {
#ifdef WITH_TLS
  if (c->ssl) {
    size_t g = 0;
    for (;;) {
      int r = SSL_read(c->ssl, (u8 *)p + g, n - g);
      if (r > 0) {
        g += r;
        if (g == n)
          return g;
        continue;
      }
      int e = SSL_get_error(c->ssl, r);
      if (g)
        return g;
      if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
      }
      return 0;
    }
  }
#endif
  return recv(c->fd, p, n, 0);
}
static void c_flush(conn *c) {
  if (c->state == S_DEAD)
    return;
  while (c->txo < c->txn) {
    ssize_t r = c_write(c, c->tx + c->txo, c->txn - c->txo);
    if (r < 0) {
      if (errno == EAGAIN || errno == EINTR) {
        c_ev(c, 1);
        return;
      }
      c_kill(c, strerror(errno));
      return;
    }
    c->txo += r;
  }
  c->txo = c->txn = 0;
  c_ev(c, 0);
}
static u8 *c_room(conn *c, u32 n) {
  if (c->txn + n > c->txcap) {
    if (c->txo) {
      memmove(c->tx, c->tx + c->txo, c->txn - c->txo);
      c->txn -= c->txo;
      c->txo = 0;
    }
    if (c->txn + n > c->txcap) {
      c->txcap = (c->txn + n) * 2;
      c->tx = realloc(c->tx, c->txcap);
    }
  }
  u8 *p = c->tx + c->txn;
  c->txn += n;
  return p;
}
static void mask8(u8 *p, size_t n, u32 k) {
  u64 k8 = (u64)k << 32 | k;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    u64 v;
    memcpy(&v, p + i, 8);
    v ^= k8;
    memcpy(p + i, &v, 8);
  }
  u8 kb[4];
  memcpy(kb, &k, 4);
  for (; i < n; i++)
    p[i] ^= kb[i & 3];
}
/* append one masked frame to c's output; body written by caller through the returned pointer, then sealed */
static int f_hdrlen(size_t n) {
  return 2 + (n < 126 ? 0 : n < 65536 ? 2 : 8) + 4;
}
static u8 *f_begin(conn *c, int op, size_t n, u32 *key) {
  int h = f_hdrlen(n);
  u8 *p = c_room(c, h + n);
  p[0] = 0x80 | op;
  if (n < 126)
    p[1] = 0x80 | n;
  else if (n < 65536) {
    p[1] = 0x80 | 126;
    p[2] = n >> 8;
    p[3] = n;
  } else {
    p[1] = 0x80 | 127;
    for (int i = 0; i < 8; i++)
      p[2 + i] = (u64)n >> (56 - 8 * i);
  }
  *key = (u32)rnd();
  memcpy(p + h - 4, key, 4);
  return p + h;
}
static void f_send(conn *c, int op, const void *d, size_t n) {
  u32 k;
  u8 *p = f_begin(c, op, n, &k);
  memcpy(p, d, n);
  mask8(p, n, k);
  c_flush(c);
}

static char *topic_of(int g) {
  static char t[4][24];
  static int i;
  char *r = t[i++ & 3];
  snprintf(r, 24, "%.12s%d", o_prefix, g);
  return r;
}
static tctx ctx_of(conn *c) {
  tctx t = {.sub = c->is_pub ? "-" : topic_of(c->group),
            .pub = c->is_pub ? topic_of(c->group) : "-",
            .topic = topic_of(c->group),
            .id = c->id,
            .plen = o_size,
            .group = c->group,
            .vals = c->vals};
  return t;
}
static void publish(group *g, int gi, u64 ts, char type) {
  conn *c = g->pub;
  if (c->state != S_READY)
    return;
  buf *b = &g->tmpl;
  u32 k;
  u8 *p = f_begin(c, D.text ? 1 : 2, b->n, &k);
  memcpy(p, b->p, b->n);
  u32 seq = type == 'W' ? 0 : (u32)g->sent;
  for (int i = 0; i < b->npt; i++) {
    patch *q = &b->pt[i];
    u8 *d = p + q->off;
    switch (q->kind) {
    case PT_PAYLOAD: {
      u8 *e = d + q->len - 37;
      e[4] = type;
      hex(e + 5, ts, 16);
      hex(e + 21, seq, 8);
      hex(e + 29, gi, 8);
      break;
    }
    case PT_SEQHEX:
      hex(d, seq, 8);
      break;
    case PT_SEQ32:
      d[0] = seq >> 24;
      d[1] = seq >> 16;
      d[2] = seq >> 8;
      d[3] = seq;
      break;
    case PT_RND:
      for (int j = 0; j < q->len; j++)
        d[j] = rnd();
      break;
    }
  }
  mask8(p, b->n, k);
  if (type != 'W') {
    if (M && seq < Mcap) {
      M[seq].ts = ts;
    }
    g->sent++;
    if (measuring)
      m_sent++;
  }
}
static void delivered(conn *c, const u8 *m, u64 now) {
  char type = m[4];
  u64 ts = unhex(m + 5, 16);
  u32 seq = unhex(m + 21, 8), gi = unhex(m + 29, 8);
  if ((int)gi != c->group || c->is_pub)
    return;
  if (type == 'W') {
    if (!c->warm) {
      c->warm = 1;
      warm_left--;
    }
    return;
  }
  if (type != 'M' || phase < 2)
    return;
  if (seq != c->next_seq) {
    if (seq < c->next_seq) {
      dups++;
      return;
    }
    gaps += seq - c->next_seq;
  }
  c->next_seq = seq + 1;
  group *g = &G[gi];
  g->deliv++;
  tot_deliv++;
  c->got++;
  last_delivery = g->last = now;
  if (!g->dirty) {
    g->dirty = 1;
    dirty[ndirty++] = gi;
  }
  u64 lat = now > ts ? now - ts : 0;
  if (measuring) {
    m_deliv++;
    h_add(&H_all, lat);
  }
  if (M && seq < Mcap) {
    mrec *r = &M[seq];
    if (++r->cnt == 1) {
      r->first = now;
      if (measuring)
        h_add(&H_first, lat);
    }
    if (r->cnt == (u32)o_subs && measuring)
      h_add(&H_last, lat);
  }
}
static void scan(conn *c, const u8 *p, size_t n, u64 now) {
  if (c->ncarry) {
    u8 t[80];
    int nc = c->ncarry;
    size_t k = n < 40 ? n : 40;
    memcpy(t, c->carry, nc);
    memcpy(t + nc, p, k);
    c->ncarry = 0;
    if (nc + k >= 37 && !memcmp(t, "@WSL", 4)) {
      delivered(c, t, now);
      p += 37 - nc;
      n -= 37 - nc;
    } else if (nc + k < 37 && !memcmp(t, "@WSL", nc + k < 4 ? nc + k : 4)) {
      memcpy(c->carry, t, nc + k);
      c->ncarry = nc + k;
      return;
    }
  }
  const u8 *e = p + n;
  while (p < e) {
    const u8 *q = memchr(p, '@', e - p);
    if (!q)
      return;
    if (e - q < 37) {
      if (!memcmp(q, "@WSL", e - q < 4 ? e - q : 4)) {
        c->ncarry = e - q;
        memcpy(c->carry, q, e - q);
        return;
      }
      p = q + 1;
      continue;
    }
    if (memcmp(q, "@WSL", 4)) {
      p = q + 1;
      continue;
    }
    delivered(c, q, now);
    p = q + 37;
  }
}
static void steps(conn *c, const u8 *in, size_t n) {
  for (;;) {
    if (c->state == S_DEAD)
      return;
    while (c->step < D.nst && D.st[c->step].who != 0 && D.st[c->step].who != (c->is_pub ? 2 : 1))
      c->step++;
    if (c->step >= D.nst) {
      c->state = S_READY;
      n_ready++;
      n_pending--;
      h_add(&H_conn, now_ns() - c->t0);
      return;
    }
    step *s = &D.st[c->step];
    if (s->what >= CAPTURE) {
      if (s->what == CAPTURE && (!in || n < (size_t)s->off + s->len))
        return;
      if (!c->vals)
        c->vals = calloc(1, sizeof *c->vals);
      if (s->what == CAPTURE) /* the frame goes on to the next step */
        memcpy(c->vals->v[s->slot], in + s->off, s->len);
      else
        randombytes_buf(c->vals->v[s->slot], s->len);
      c->vals->n[s->slot] = s->len;
      c->step++;
      continue;
    }
    buf b = {0};
    tctx t = ctx_of(c);
    t_eval(s->t, &b, &t, 0);
    if (s->what == EXPECT) {
      u8 *hit = in ? memmem(in, n, b.p, b.n) : NULL;
      size_t bn = b.n;
      free(b.p);
      if (!hit) {
        if (o_verbose && in)
          fprintf(stderr, "conn %d waiting step %d, got %zu bytes: %.*s\n", c->id, c->step, n, (int)n, in);
        return;
      }
      n -= hit + bn - in;
      in = hit + bn;
      c->step++;
    } else {
      c->step++;
      f_send(c, D.text ? 1 : 2, b.p, b.n);
      free(b.p);
    }
  }
}
/* an application-level sign of life: answered like a websocket ping */
static int answered(conn *c, const u8 *d, size_t n) {
  static buf ping, pong;
  if (!D.ping || !D.pong || n > 16)
    return 0;
  if (!ping.n) {
    tctx t = {0};
    t_eval(D.ping, &ping, &t, 0);
    t_eval(D.pong, &pong, &t, 0);
  }
  if (n < ping.n || memcmp(d, ping.p, ping.n))
    return 0;
  u8 r[64];
  memcpy(r, pong.p, pong.n);
  memcpy(r + pong.n, d + ping.n, n - ping.n);
  f_send(c, D.text ? 1 : 2, r, pong.n + n - ping.n);
  pongs++;
  return 1;
}
static void http_send(conn *c) {
  char path[512];
  buf pb = {0};
  tctx t = ctx_of(c);
  t_eval(D.path, &pb, &t, 0);
  snprintf(path, sizeof path, "%.*s", (int)pb.n, pb.p);
  free(pb.p);
  char r[2048];
  int n = snprintf(r, sizeof r,
                   "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
                   "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
                   path, o_host, c->port);
  if (D.subproto)
    n += snprintf(r + n, sizeof r - n, "Sec-WebSocket-Protocol: %s\r\n", D.subproto);
  for (int i = 0; i < D.nhdr; i++)
    n += snprintf(r + n, sizeof r - n, "%s\r\n", D.hdr[i]);
  n += snprintf(r + n, sizeof r - n, "\r\n");
  c->state = S_HTTP;
  u8 *p = c_room(c, n);
  memcpy(p, r, n);
  c_flush(c);
}
static void c_start(conn *c) {
  c->port = o_ports[c->id % o_nport];
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0)
    die("socket: %s", strerror(errno));
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct linger lg = {1, 0};
  setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(c->port)};
  inet_pton(AF_INET, o_host, &a.sin_addr);
  c->t0 = now_ns();
  c->state = S_CONN;
  n_pending++;
  n_started++;
  int r = connect(c->fd, (void *)&a, sizeof a);
  if (r < 0 && errno != EINPROGRESS) {
    c_kill(c, strerror(errno));
    return;
  }
  c->want_out = 1;
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}
static void on_read(conn *c, u64 now) {
  u32 have = c->rxn;
  if (have)
    memcpy(RX, c->rx, have);
  ssize_t r = c_read(c, RX + have, have + 262144 < RXB ? 262144 : RXB - have);
  if (r < 0) {
    if (errno == EAGAIN || errno == EINTR)
      return;
    c_kill(c, strerror(errno));
    return;
  }
  if (r == 0) {
    c_kill(c, "closed by server");
    return;
  }
  rxbytes += r;
  u8 *p = RX;
  size_t n = have + r;
  c->rxn = 0;
  if (c->state == S_HTTP) {
    u8 *e = memmem(p, n, "\r\n\r\n", 4);
    if (!e)
      goto keep;
    if (memcmp(p, "HTTP/1.1 101", 12)) {
      if (badhs++ < 3)
        fprintf(stderr, "wsload: handshake refused: %.*s\n", (int)(n > 200 ? 200 : n), p);
      c_kill(c, "handshake");
      return;
    }
    if (!memmem(p, e - p, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28)) {
      c_kill(c, "bad Sec-WebSocket-Accept");
      return;
    }
    n -= e + 4 - p;
    p = e + 4;
    c->state = S_STEPS;
    steps(c, NULL, 0);
  }
  while (n >= 2 && c->state != S_DEAD) {
    u64 len = p[1] & 127;
    u32 h = 2;
    if (p[1] & 128) {
      c_kill(c, "masked frame from server");
      return;
    }
    if (len == 126) {
      if (n < 4)
        break;
      len = p[2] << 8 | p[3];
      h = 4;
    } else if (len == 127) {
      if (n < 10)
        break;
      len = 0;
      for (int i = 0; i < 8; i++)
        len = len << 8 | p[2 + i];
      h = 10;
    }
    if (len > RXB / 2) {
      c_kill(c, "frame too large");
      return;
    }
    if (n < h + len)
      break;
    int op = p[0] & 15;
    u8 *d = p + h;
    if (op <= 2) {
      if (answered(c, d, len)) {
      } else if (c->state == S_READY)
        scan(c, d, len, now);
      else {
        steps(c, d, len);
        if (c->state == S_READY)
          scan(c, d, len, now);
      }
    } else if (op == 9) {
      pongs++;
      f_send(c, 10, d, len);
    } else if (op == 8) {
      char w[160];
      snprintf(w, sizeof w, "close frame %d %.*s", len >= 2 ? d[0] << 8 | d[1] : 0,
               len > 2 ? (int)(len - 2 > 100 ? 100 : len - 2) : 0, d + 2);
      c_kill(c, w);
      return;
    }
    p += h + len;
    n -= h + len;
  }
  if (c->state == S_DEAD)
    return;
keep:
  if (n) {
    if (n > c->rxcap) {
      c->rxcap = n * 2 < 4096 ? 4096 : n * 2;
      c->rx = realloc(c->rx, c->rxcap);
    }
    memcpy(c->rx, p, n);
    c->rxn = n;
  }
}
static void on_event(conn *c, u32 ev, u64 now) {
  if (c->state == S_DEAD)
    return;
  if (c->state == S_CONN) {
    int e = 0;
    socklen_t l = sizeof e;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
    if (e) {
      c_kill(c, strerror(e));
      return;
    }
    if (!(ev & EPOLLOUT))
      return;
#ifdef WITH_TLS
    if (o_tls) {
      c->ssl = SSL_new(ctx);
      SSL_set_fd(c->ssl, c->fd);
      SSL_set_connect_state(c->ssl);
      c->state = S_TLS;
    } else
#endif
    {
      http_send(c);
      return;
    }
  }
#ifdef WITH_TLS
  if (c->state == S_TLS) {
    int r = SSL_do_handshake(c->ssl);
    if (r == 1) {
      http_send(c);
      return;
    }
    int e = SSL_get_error(c->ssl, r);
    if (e == SSL_ERROR_WANT_READ)
      c_ev(c, 0);
    else if (e == SSL_ERROR_WANT_WRITE)
      c_ev(c, 1);
    else
      c_kill(c, "tls handshake");
    return;
  }
#endif
  if (ev & EPOLLOUT)
    c_flush(c);
  if (c->state != S_DEAD && (ev & (EPOLLIN | EPOLLHUP | EPOLLERR)))
    on_read(c, now);
#ifdef WITH_TLS
  while (c->ssl && c->state != S_DEAD && SSL_pending(c->ssl) > 0)
    on_read(c, now);
#endif
}
/* ---------- server accounting ---------- */
static int pids[256], npid;
static void find_pids(void) {
  npid = 0;
  char *s = strdup(o_pids), *sv;
  for (char *t = strtok_r(s, ",", &sv); t; t = strtok_r(NULL, ",", &sv))
    pids[npid++] = atoi(t);
  free(s);
  for (int i = 0; i < npid; i++) {
    DIR *d = opendir("/proc");
    struct dirent *e;
    while (d && (e = readdir(d)))
      if (isdigit((u8)e->d_name[0])) {
        char fn[300], b[1024];
        snprintf(fn, sizeof fn, "/proc/%s/stat", e->d_name);
        FILE *f = fopen(fn, "r");
        if (!f)
          continue;
        size_t n = fread(b, 1, sizeof b - 1, f);
        b[n] = 0;
        fclose(f);
        char *q = strrchr(b, ')');
        int pp = 0;
        if (q && sscanf(q + 2, "%*c %d", &pp) == 1 && pp == pids[i] && npid < 256) {
          int id = atoi(e->d_name), dup = 0;
          for (int j = 0; j < npid; j++)
            dup |= pids[j] == id;
          if (!dup)
            pids[npid++] = id;
        }
      }
    if (d)
      closedir(d);
  }
}
static double srv_cpu(double *usr) {
  double t = 0;
  *usr = 0;
  for (int i = 0; i < npid; i++) {
    char fn[64], b[1024];
    snprintf(fn, sizeof fn, "/proc/%d/stat", pids[i]);
    FILE *f = fopen(fn, "r");
    if (!f)
      continue;
    size_t n = fread(b, 1, sizeof b - 1, f);
    b[n] = 0;
    fclose(f);
    char *q = strrchr(b, ')');
    unsigned long u = 0, s = 0;
    if (q)
      sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s);
    t += (u + s) / 100.0;
    *usr += u / 100.0;
  }
  return t;
}
static double srv_rss(void) {
  double t = 0;
  for (int i = 0; i < npid; i++) {
    char fn[64], l[256];
    snprintf(fn, sizeof fn, "/proc/%d/smaps_rollup", pids[i]);
    FILE *f = fopen(fn, "r");
    if (!f)
      continue;
    while (fgets(l, sizeof l, f)) {
      double v;
      if (sscanf(l, "Pss: %lf", &v) == 1)
        t += v;
    }
    fclose(f);
  }
  return t;
} /* KiB, proportional */
static double self_cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_utime.tv_usec / 1e6 + r.ru_stime.tv_sec + r.ru_stime.tv_usec / 1e6;
}
static u64 idle_ns;
static void pump(int timeout_us) {
  struct epoll_event ev[512];
  u64 a = now_ns();
  struct timespec ts = {0, (long)timeout_us * 1000};
  if (timeout_us >= 1000000) {
    ts.tv_sec = 1;
    ts.tv_nsec = 0;
  }
  if (o_spin)
    ts.tv_nsec = ts.tv_sec = 0;
  int n = epoll_pwait2(ep, ev, 512, &ts, NULL);
  u64 now = now_ns();
  if (n <= 0 || !o_spin)
    idle_ns += (n <= 0 || !o_spin) ? now - a : 0;
  for (int i = 0; i < n; i++)
    on_event(ev[i].data.ptr, ev[i].events, now_ns());
}

int main(int ac, char **av) {
  char *dl = NULL;
  for (int i = 1; i < ac; i++) {
    char *a = av[i];
    char *v = i + 1 < ac ? av[i + 1] : NULL;
#define OPT(s) (!strcmp(a, s) && (v || (die("%s needs a value", s), 0)) && (i++, 1))
    if (OPT("--host"))
      o_host = v;
    else if (OPT("--prefix"))
      o_prefix = v;
    else if (OPT("--id-base"))
      o_idbase = atoi(v);
    else if (OPT("--port")) {
      char *s = strdup(v);
      for (char *t = strtok(s, ","); t; t = strtok(NULL, ","))
        o_ports[o_nport++] = atoi(t);
    } else if (OPT("--dialect"))
      dl = v;
    else if (OPT("--groups"))
      o_groups = atoi(v);
    else if (OPT("--subs"))
      o_subs = atoi(v);
    else if (OPT("--window"))
      o_window = atoi(v);
    else if (OPT("--rate"))
      o_rate = atof(v);
    else if (OPT("--idle"))
      o_idle = atof(v);
    else if (!strcmp(a, "--connect"))
      o_connect = 1;
    else if (OPT("--size"))
      o_size = atoi(v);
    else if (OPT("--duration"))
      o_dur = atof(v);
    else if (OPT("--warmup"))
      o_warm = atof(v);
    else if (OPT("--concurrency"))
      o_cc = atoi(v);
    else if (!strcmp(a, "--spin"))
      o_spin = 1;
    else if (!strcmp(a, "--tls"))
      o_tls = 1;
    else if (OPT("--cpu"))
      o_cpu = atoi(v);
    else if (OPT("--server-pid"))
      o_pids = v;
    else if (OPT("--label"))
      o_label = v;
    else if (OPT("--workload"))
      o_workload = v;
    else if (OPT("--max-time"))
      o_maxtime = atof(v);
    else if (!strcmp(a, "-v"))
      o_verbose = 1;
    else
      die("unknown option %s", a);
  }
  if (!dl || !o_nport)
    die("need --dialect FILE --port P");
  if (o_size < 37)
    die("--size must be >= 37");
  if (!o_window && !o_rate && !o_idle && !o_connect)
    die("need one of --window --rate --idle --connect");
  if (sodium_init() < 0)
    die("libsodium does not start");
  signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < 16; i++)
    UN[(u8)HX[i]] = i;
  if (o_cpu >= 0) {
    cpu_set_t s;
    CPU_ZERO(&s);
    CPU_SET(o_cpu, &s);
    sched_setaffinity(0, sizeof s, &s);
  }
  struct rlimit rl;
  getrlimit(RLIMIT_NOFILE, &rl);
  rl.rlim_cur = rl.rlim_max;
  setrlimit(RLIMIT_NOFILE, &rl);
#ifdef WITH_TLS
  if (o_tls) {
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }
#else
  if (o_tls)
    die("built without TLS");
#endif
  d_load(dl);
  ep = epoll_create1(0);
  RX = malloc(RXB);
  rs ^= now_ns();
  int idle_or_conn = o_idle || o_connect;
  int perg = idle_or_conn ? o_subs : o_subs + 1;
  NC = o_groups * perg;
  if ((u64)NC + 32 > rl.rlim_cur)
    die("%d connections but only %lu files", NC, (long)rl.rlim_cur);
  C = calloc(NC, sizeof *C);
  G = calloc(o_groups, sizeof *G);
  dirty = calloc(o_groups, sizeof *dirty);
  int k = 0;
  for (int g = 0; g < o_groups; g++)
    for (int s = 0; s < perg; s++) {
      conn *c = &C[k];
      c->id = k++;
      c->group = g;
      c->is_pub = !idle_or_conn && s == o_subs;
      c->fd = -1;
      if (c->is_pub) {
        G[g].pub = c;
        tctx t = ctx_of(c);
        t_eval(D.publish, &G[g].tmpl, &t, 0);
        buf *b = &G[g].tmpl;
        for (int i = 0; i < b->npt; i++)
          if (b->pt[i].kind == PT_PAYLOAD) {
            u8 *d = b->p + b->pt[i].off;
            memset(d, 'x', o_size);
            memcpy(d + o_size - 37, "@WSL", 4);
          }
      }
    }
  if (o_groups == 1 && !idle_or_conn) {
    Mcap = 4u << 20;
    M = calloc(Mcap, sizeof *M);
  }
  find_pids();
  double rss0 = srv_rss(), u0, cpu0 = srv_cpu(&u0);
  u64 tc0 = now_ns(), dead_line = tc0 + (u64)(o_maxtime * 1e9);
  /* connect */
  int nx = 0;
  while (n_ready + n_dead < NC) {
    while (nx < NC && n_pending < o_cc)
      c_start(&C[nx++]);
    pump(1000);
    if (now_ns() > dead_line)
      die("%s: connect phase: only %d of %d ready (%d lost)", o_label, n_ready, NC, n_dead);
  }
  double tconn = (now_ns() - tc0) / 1e9, u1, cpu1 = srv_cpu(&u1);
  double conn_cpu = cpu1 - cpu0;
  if (n_dead > NC / 100)
    die("%s: %d of %d connections failed", o_label, n_dead, NC);
  if (o_idle) {
    u64 e = now_ns() + (u64)(o_idle * 1e9);
    while (now_ns() < e)
      pump(10000);
  }
  double rss1 = srv_rss();
  double secs = 0, scpu = 0, susr = 0, gcpu = 0;
  u64 lost = 0;
  if (!idle_or_conn) {
    /* warm-up message until every subscriber has seen one: proves the subscriptions are live */
    phase = 1;
    warm_left = NC - o_groups;
    for (int i = 0; i < NC; i++)
      if (C[i].state == S_DEAD && !C[i].is_pub)
        warm_left--;
    u64 next = 0;
    int tries = 0;
    while (warm_left > 0) {
      u64 t = now_ns();
      if (t >= next) {
        if (tries++ > 12 || t > dead_line)
          die("%s: %d subscribers never got the first message", o_label, warm_left);
        for (int g = 0; g < o_groups; g++) {
          int need = tries == 1;
          if (!need)
            for (int s = 0; s < o_subs; s++)
              need |= !C[g * perg + s].warm;
          if (need) {
            publish(&G[g], g, t, 'W');
            c_flush(G[g].pub);
          }
        }
        next = t + 1000000000ull;
      }
      pump(1000);
    }
    u64 q = now_ns() + 200000000ull;
    while (now_ns() < q)
      pump(1000);
    phase = 2;
    u64 t0 = now_ns();
    last_delivery = t0;
    u64 tm = t0 + (u64)(o_warm * 1e9), te = tm + (u64)(o_dur * 1e9);
    u64 kth = 0;
    double iv = o_rate ? 1e9 / o_rate / o_groups : 0;
    double g0 = 0, c0 = 0, us0 = 0;
    u64 tstart = 0, idle0 = 0, rx0 = 0;
    if (o_window)
      for (int g = 0; g < o_groups; g++) {
        for (int i = 0; i < o_window; i++)
          publish(&G[g], g, now_ns(), 'M');
        c_flush(G[g].pub);
        if ((g & 15) == 15)
          pump(0);
      }
    for (;;) {
      u64 t = now_ns();
      if (!measuring && t >= tm) {
        measuring = 1;
        tstart = t;
        g0 = self_cpu();
        c0 = srv_cpu(&us0);
        idle0 = idle_ns;
        rx0 = rxbytes;
      }
      if (t >= te)
        break;
      if (o_rate) {
        u64 due = t0 + (u64)(kth * iv);
        while (due <= t) {
          int g = kth % o_groups;
          publish(&G[g], g, due, 'M');
          c_flush(G[g].pub);
          kth++;
          due = t0 + (u64)(kth * iv);
        }
        ndirty = 0;
        for (int g = 0; g < o_groups; g++)
          G[g].dirty = 0;
        u64 w = (due - t) / 1000;
        pump(w > 1000 ? 1000 : w < 1 ? 1 : w);
      } else {
        for (int i = 0; i < ndirty; i++) {
          group *g = &G[dirty[i]];
          g->dirty = 0;
          u64 ts = 0;
          int any = 0;
          while ((g->sent - g->lost) * o_subs - g->deliv + o_subs <= (u64)o_window * o_subs &&
                 g->pub->txn - g->pub->txo < (1u << 20)) {
            if (!ts)
              ts = now_ns();
            publish(g, dirty[i], ts, 'M');
            any = 1;
          }
          if (any)
            c_flush(g->pub);
        }
        ndirty = 0;
        pump(1000);
        if (now_ns() - last_delivery > (u64)o_stall_ms * 1000000) {
          stalls++;
          for (int g = 0; g < o_groups; g++) {
            u64 miss = G[g].sent * o_subs - G[g].deliv - G[g].lost * o_subs;
            G[g].lost += miss / o_subs;
            if (!G[g].dirty) {
              G[g].dirty = 1;
              dirty[ndirty++] = g;
            }
          }
          last_delivery = now_ns();
          if (stalls > 2)
            break;
        }
      }
    }
    u64 tend = now_ns();
    if (!tstart)
      tstart = tm < tend ? tm : t0;
    secs = (tend - tstart) / 1e9;
    double us1, c1 = srv_cpu(&us1);
    scpu = c1 - c0;
    susr = us1 - us0;
    gcpu = o_spin ? secs - (idle_ns - idle0) / 1e9 : self_cpu() - g0;
    m_rxbytes = rxbytes - rx0;
    measuring = 0;
    phase = 3;
    u64 want = 0;
    for (int g = 0; g < o_groups; g++)
      want += G[g].sent * o_subs;
    phase = 2;
    u64 de = now_ns() + 1500000000ull;
    while (tot_deliv < want && now_ns() < de)
      pump(1000);
    lost = want - tot_deliv;
  }
  int alive = 0;
  for (int i = 0; i < NC; i++)
    alive += C[i].state == S_READY;
  u64 gmin = ~0ull, gmax = 0;
  for (int g = 0; g < o_groups && !idle_or_conn; g++) {
    if (G[g].deliv < gmin)
      gmin = G[g].deliv;
    if (G[g].deliv > gmax)
      gmax = G[g].deliv;
  }
  printf("{\"label\":\"%s\",\"workload\":\"%s\",\"dialect\":\"%s\",\"tls\":%d,\"groups\":%d,\"subs\":%d,\"window\":%d,"
         "\"rate\":%g,\"size\":%d,\"conns\":%d,\"alive\":%d,\"lost_conns\":%d,"
         "\"conn_per_s\":%.0f,\"conn_ms_p50\":%.2f,\"conn_ms_p99\":%.2f,\"conn_srv_cpu_us\":%.1f,\"rss0_kib\":%.0f,"
         "\"rss1_kib\":%.0f,\"rss_per_conn_kib\":%.2f",
         o_label, o_workload, D.name, o_tls, o_groups, o_subs, o_window, o_rate, o_size, NC, alive, n_dead, NC / tconn,
         h_pct(&H_conn, .5) / 1e6, h_pct(&H_conn, .99) / 1e6, conn_cpu * 1e6 / NC, rss0, rss1,
         npid ? (rss1 - rss0) / NC : 0);
  if (!idle_or_conn)
    printf(
        ",\"secs\":%.3f,\"sent_per_s\":%.1f,\"deliv_per_s\":%.0f,\"lost\":%lld,\"gaps\":%llu,\"dups\":%llu,\"stalls\":%"
        "llu,\"lat_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},\"first_us\":{\"p50\":%.1f,"
        "\"p99\":%.1f},\"last_us\":{\"p50\":%.1f,\"p99\":%.1f},\"srv_cpu_pct\":%.0f,\"srv_usr_pct\":%.0f,\"srv_us_per_"
        "deliv\":%.3f,\"gen_cpu_pct\":%.0f,\"rx_bytes_per_deliv\":%.1f,\"group_min\":%llu,\"group_max\":%llu",
        secs, m_sent / secs, m_deliv / secs, (long long)lost, (unsigned long long)gaps, (unsigned long long)dups,
        (unsigned long long)stalls, h_pct(&H_all, .5) / 1e3, h_pct(&H_all, .9) / 1e3, h_pct(&H_all, .99) / 1e3,
        h_pct(&H_all, .999) / 1e3, H_all.max / 1e3, h_pct(&H_first, .5) / 1e3, h_pct(&H_first, .99) / 1e3,
        h_pct(&H_last, .5) / 1e3, h_pct(&H_last, .99) / 1e3, scpu / secs * 100, susr / secs * 100,
        m_deliv ? scpu * 1e6 / m_deliv : 0, gcpu / secs * 100, m_deliv ? (double)m_rxbytes / m_deliv : 0,
        (unsigned long long)gmin, (unsigned long long)gmax);
  printf("}\n");
  fflush(stdout);
  _exit(0);
}
