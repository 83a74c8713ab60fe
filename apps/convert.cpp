// perch convert: a model from one kind of file into the other.
#include <cstring>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/random.h>
#include <perch/io/model_file.h>
#include <perch/layers/state.h>
#include <perch/models/models.h>
#include <perch/quant/wrapper.h>

#include "commands.h"
#include "data_flags.h"
#include "model_file.h"
#include "model_name.h"
#include "quantize_flags.h"

using namespace perch;
namespace fs = std::filesystem;

namespace {

struct ConvertFlags {
  std::string input, output, into;
  bool verify = false;
  QuantizeFlags quantize;
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.values().size_bytes()) == 0;
}

/// Throws Error(failure) naming what differs.
void check_same(Model& a, Model& b, const std::string& file) {
  const std::vector<StateEntry> ours = state_of(a), theirs = state_of(b);
  const auto differs = [&](const std::string& what) {
    fail(ErrorCode::failure, "{}: {} is not what was written", file, what);
  };
  if (ours.size() != theirs.size()) differs("the number of variables");
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const StateEntry &x = ours[i], &y = theirs[i];
    const bool same = x.counter != nullptr
                          ? y.counter != nullptr && *x.counter == *y.counter
                          : y.counter == nullptr && same_bits(*x.tensor(), *y.tensor());
    if (x.name != y.name || !same) differs(x.name);
  }
  constexpr std::int64_t images = 16;
  Tensor input(a.input_shape().batched(images));
  const Random random(1, "convert.verify");
  for (std::int64_t i = 0; i < input.size(); ++i) {
    input.data()[i] = random.uniform(static_cast<std::uint64_t>(i));
  }
  const auto predict = [&](Model& model) {
    return model.forward(Variable(input.clone()), Context::for_inference()).value();
  };
  if (!same_bits(predict(a), predict(b))) differs("a prediction");
}

/// The model of a file, or a network by its name, with the weights of another file.
std::unique_ptr<Model> fill_model(const std::string& into, const std::string& weights,
                                  const QuantizeFlags& quantize) {
  std::unique_ptr<Model> model;
  if (fs::exists(into) || !fs::path(into).extension().empty()) {
    model = open_model(into, quantize);
  } else {
    const auto given = quantize.given();
    PERCH_CHECK(
        given.empty(),
        "--into {}: a network's name stands for the float network, {} would have no effect; "
        "give a file of the quantized model",
        into, fmt::join(given, " "));
    model = make_model(into);
    model->build({32, 32, 3});
  }
  const bool quantized = quantizers_of(*model).any();
  PERCH_CHECK(io::holds_quantizers(weights) == quantized,
              "{} is {} and {} {}; --into takes the model that the weights were saved from",
              weights, quantized ? "float" : "quantized", into, quantized ? "quantized" : "float");
  io::load_weights(*model, weights);
  return model;
}

void convert(const ConvertFlags& flags, Output& output) {
  flags.quantize.check();
  const auto model = flags.into.empty() ? open_model(flags.input, flags.quantize)
                                        : fill_model(flags.into, flags.input, flags.quantize);
  check_writable(flags.output);
  save_model(*model, flags.output, io::model_metadata(flags.input));
  if (flags.verify) check_same(*model, *io::load_model(flags.output), flags.output);
  const auto bytes = static_cast<std::int64_t>(fs::file_size(flags.output));
  output.event(
      {{"event", "result"}, {"model", flags.output}, {"bytes", bytes}, {"verified", flags.verify}});
  output.text(
      fmt::format("{}: {} bytes{}\n", flags.output, bytes,
                  flags.verify ? "; read back, variables and predictions are the same" : ""));
}

}  // namespace

Command add_convert(CLI::App& parent) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* app = parent.add_subcommand("convert", "Write a model as .h5 or as .safetensors");
  app->footer("Example:\n  perch convert models/temp_net_float.h5 temp_net.safetensors --verify");
  app->add_option("IN", flags->input, "Model file")->type_name("FILE")->required();
  app->add_option("OUT", flags->output, "Its other form, .h5 or .safetensors")
      ->type_name("FILE")
      ->required();
  app->add_option("--into", flags->into,
                  "IN has weights only (Keras's save_weights): the model that they are of, a file "
                  "or a network's name")
      ->type_name("MODEL");
  app->add_flag("--verify", flags->verify, "Read it back: variables and predictions are the same");
  flags->quantize.add_to(*app, QuantizeFlags::Use::read);
  return {app, [flags](Output& output) { convert(*flags, output); }};
}
