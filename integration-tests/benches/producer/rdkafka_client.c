/*
 * A producer of librdkafka for the benchmark: what client_process.rs is for Ottla's library and BenchProducer.java for
 * Kafka's, with the same arguments and output.
 *
 *   rdkafka_client TOPIC [KEY=VALUE...]
 *
 * size=BYTES of a value; rate=RECORDS a second, in an open loop, 0: as fast as it can; count=RECORDS, 0: until the
 * standard input ends; uncounted=RECORDS of them at the beginning; keys=1: with keys; print=total, percentiles or acks.
 * Any other key is librdkafka's own.
 *
 * A thread polls and does nothing else, as librdkafka advises. Latency counts from when a record was due to when its
 * delivery report is handed out.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "rdkafka.h"

/* Values and keys are made once: more of them than a batch holds, so that no codec finds one twice. */
#define VALUES 4096
#define KEY_BYTES 8
/* How long before the time to wake up, and spin for the rest. */
#define SPIN_NS 15000

enum print { TOTAL, PERCENTILES, ACKS };

static rd_kafka_t *producer;
static long size = 100, rate, count, uncounted, keys;
static enum print print = TOTAL;
static int64_t start_ns, *latencies;
static long delivered, failed;
static volatile int stop, sent_all;

static int64_t clock_ns(clockid_t clock) {
        struct timespec now;
        clock_gettime(clock, &now);
        return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t due_ns(long number) {
        return start_ns + (int64_t)((double)number * 1e9 / (double)rate);
}

static void wait_until(int64_t due) {
        int64_t wake = due - SPIN_NS;
        if (clock_ns(CLOCK_MONOTONIC) < wake) {
                struct timespec at = {wake / 1000000000, wake % 1000000000};
                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        }
        while (clock_ns(CLOCK_MONOTONIC) < due) {
        }
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        long number = (long)(intptr_t)message->_private;
        (void)rk;
        (void)opaque;
        if (message->err) {
                if (failed++ == 0)
                        fprintf(stderr, "record %ld: %s\n", number, rd_kafka_err2str(message->err));
                return;
        }
        delivered++;
        if (print == ACKS)
                printf("%" PRId64 " %" PRId64 "\n", message->offset, clock_ns(CLOCK_REALTIME) / 1000);
        else if (print == PERCENTILES && number >= uncounted)
                latencies[number - uncounted] = clock_ns(CLOCK_MONOTONIC) - due_ns(number);
}

static void *poll_all(void *argument) {
        (void)argument;
        while (!sent_all || rd_kafka_outq_len(producer) > 0)
                rd_kafka_poll(producer, 100);
        return NULL;
}

static void *wait_for_end(void *argument) {
        (void)argument;
        while (getchar() != EOF) {
        }
        stop = 1;
        return NULL;
}

static int compare(const void *left, const void *right) {
        int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
        return (a > b) - (a < b);
}

/* In microseconds. */
static int64_t percentile(double of_all) {
        long n = count - uncounted, at = (long)(of_all * (double)n + 0.999999) - 1;
        return latencies[at < 0 ? 0 : at >= n ? n - 1 : at] / 1000;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
        char error[512];
        if (rd_kafka_conf_set(conf, key, value, error, sizeof(error)) != RD_KAFKA_CONF_OK) {
                fprintf(stderr, "%s=%s: %s\n", key, value, error);
                exit(2);
        }
}

int main(int argc, char **argv) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char error[512], *values, *names;
        pthread_t poller, reader;
        if (argc < 2) {
                fprintf(stderr, "rdkafka_client TOPIC [KEY=VALUE...]\n");
                return 2;
        }
        for (int i = 2; i < argc; i++) {
                char *value = strchr(argv[i], '=');
                if (!value) {
                        fprintf(stderr, "%s: KEY=VALUE is expected\n", argv[i]);
                        return 2;
                }
                *value++ = '\0';
                struct {
                        const char *name;
                        long *number;
                } own[] = {{"size", &size}, {"rate", &rate}, {"count", &count}, {"uncounted", &uncounted}, {"keys", &keys}};
                size_t n = 0;
                while (n < sizeof(own) / sizeof(*own) && strcmp(argv[i], own[n].name))
                        n++;
                if (n < sizeof(own) / sizeof(*own))
                        *own[n].number = atol(value);
                else if (!strcmp(argv[i], "print"))
                        print = !strcmp(value, "acks") ? ACKS : !strcmp(value, "percentiles") ? PERCENTILES : TOTAL;
                else
                        set(conf, argv[i], value);
        }
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        if (!(producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error)))) {
                fprintf(stderr, "%s\n", error);
                return 2;
        }
        rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, argv[1], NULL);

        uint64_t random = 1;
        values = malloc((size_t)(VALUES * size));
        names = malloc(VALUES * (KEY_BYTES + 1));
        for (long i = 0; i < VALUES * size; i++) {
                random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                values[i] = (char)('A' + (random >> 33) % 26);
        }
        for (long i = 0; i < VALUES; i++)
                snprintf(names + i * KEY_BYTES, KEY_BYTES + 1, "%0*ld", KEY_BYTES, i);
        if (print == PERCENTILES)
                latencies = calloc((size_t)(count - uncounted), sizeof(*latencies));
        if (print == ACKS)
                setvbuf(stdout, NULL, _IOLBF, 0);

        pthread_create(&poller, NULL, poll_all, NULL);
        if (count == 0)
                pthread_create(&reader, NULL, wait_for_end, NULL);
        prctl(PR_SET_TIMERSLACK, 1);
        start_ns = clock_ns(CLOCK_MONOTONIC) + 20000000;
        for (long number = 0; !stop && (count == 0 || number < count); number++) {
                long pick = number % VALUES;
                if (rate > 0)
                        wait_until(due_ns(number));
                while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, values + pick * size, (size_t)size,
                                        keys ? names + pick * KEY_BYTES : NULL, keys ? KEY_BYTES : 0,
                                        (void *)(intptr_t)number) == -1) {
                        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                                fprintf(stderr, "%s\n", rd_kafka_err2str(rd_kafka_last_error()));
                                return 1;
                        }
                        struct timespec pause = {0, 1000000};
                        nanosleep(&pause, NULL);
                }
        }
        sent_all = 1;
        pthread_join(poller, NULL);
        if (print == TOTAL)
                printf("%ld %ld\n", delivered, failed);
        else if (print == PERCENTILES) {
                qsort(latencies, (size_t)(count - uncounted), sizeof(*latencies), compare);
                printf("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %ld\n", percentile(0.5), percentile(0.99),
                       percentile(0.999), percentile(1.0), failed);
        }
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(producer);
        return failed != 0;
}
