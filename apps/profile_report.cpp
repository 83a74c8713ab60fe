#include "profile_report.h"

#include <fstream>

#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/parallel.h>

using namespace perch;

namespace {

// Shorter rows are views that read nothing, or too short for a rate.
constexpr double least_rated_share = 0.001;

/// Work on another thread, beside the steps.
bool is_beside(const ProfileRow& row) {
  return row.op == "prepare a batch";
}

std::string rate_of(const ProfileRow& row, const MachinePeak& peak, int threads) {
  if (row.flops > 0.0) {
    const double rate = row.flops / row.seconds;
    return fmt::format("{:7.1f} GFLOP/s {:4.0f} %", rate / 1e9,
                       100.0 * rate / (peak.flops * threads));
  }
  if (row.bytes > 0.0) {
    const double rate = row.bytes / row.seconds;
    return fmt::format("{:7.1f} GB/s    {:4.0f} %", rate / 1e9,
                       100.0 * rate / (peak.bytes * threads));
  }
  return "";
}

Json json_of(const ProfileRow& row, const MachinePeak& peak, int threads) {
  Json json{{"phase", row.phase}, {"layer", row.layer},     {"op", row.op},
            {"calls", row.calls}, {"seconds", row.seconds}, {"beside", is_beside(row)}};
  if (row.flops > 0.0) {
    json["gflops"] = row.flops / row.seconds / 1e9;
    json["share_of_peak"] = row.flops / row.seconds / (peak.flops * threads);
  } else if (row.bytes > 0.0) {
    json["gbytes"] = row.bytes / row.seconds / 1e9;
    json["share_of_peak"] = row.bytes / row.seconds / (peak.bytes * threads);
  }
  return json;
}

}  // namespace

void report_profile(const Profiler& profiler, std::int64_t steps,
                    const std::filesystem::path& trace, Output& output) {
  const MachinePeak peak = measure_peak();
  const int threads = thread_count();
  const std::vector<ProfileRow> rows = profiler.rows();
  double total = 0.0;
  for (const ProfileRow& row : rows) total += is_beside(row) ? 0.0 : row.seconds;

  std::ofstream file(trace);
  profiler.write_trace(file);
  file.close();
  if (!file) {
    fail(ErrorCode::cannot_create, "cannot write the trace {}; choose another folder with --save",
         trace.string());
  }

  Json ops = Json::array();
  std::string text = fmt::format(
      "{} threads; peak per thread {:.0f} GFLOP/s, {:.0f} GB/s in the cache, {:.0f} GB/s in "
      "memory\n"
      "{:<9} {:>8} {:>6}  {:<27} {}\n",
      threads, peak.flops / 1e9, peak.bytes / 1e9, peak.memory_bytes / 1e9, "phase", "ms/step",
      "share", "rate, share of peak", "op, layers");
  for (const ProfileRow& row : rows) {
    ops.push_back(json_of(row, peak, threads));
    const std::string share =
        is_beside(row) ? "beside" : fmt::format("{:5.1f}%", 100.0 * row.seconds / total);
    const bool has_rate = row.seconds > least_rated_share * total;
    text += fmt::format("{:<9} {:8.3f} {:>6}  {:<27} {}{}{}\n", row.phase,
                        1e3 * row.seconds / static_cast<double>(steps), share,
                        has_rate ? rate_of(row, peak, threads) : "", row.op,
                        row.layer.empty() ? "" : ", ", row.layer);
  }
  text += fmt::format("trace: {} (chrome://tracing, ui.perfetto.dev)\n", trace.string());
  output.event({{"event", "profile"},
                {"threads", threads},
                {"steps", steps},
                {"peak_gflops", peak.flops / 1e9},
                {"peak_gbytes", peak.bytes / 1e9},
                {"peak_memory_gbytes", peak.memory_bytes / 1e9},
                {"ops", ops},
                {"trace", trace.string()}});
  output.text(text);
}
