// SGD, Adam and AdamW with Keras's formulas and defaults.
#pragma once

#include <perch/optim/optimizer.h>

namespace perch {

/// v = momentum v - lr g;  w += v, or with Nesterov w += momentum v - lr g.
/// Weight decay here is the classical one, added to the gradient: g + weight_decay w.
class Sgd final : public Optimizer {
 public:
  struct Options {
    float learning_rate = 0.01f;
    float momentum = 0.0f;
    bool nesterov = false;
    float weight_decay = 0.0f;
  };
  explicit Sgd(const Options& options);
  Sgd();
  float learning_rate() const override { return options_.learning_rate; }
  std::string name() const override { return "sgd"; }
  std::map<std::string, std::string> settings() const override;
  const Options& options() const { return options_; }

 private:
  void begin_step(float learning_rate) override;
  void update(const std::string& name, Tensor& value, const Tensor& gradient) override;
  Options options_;
  float rate_ = 0.0f;
};

/// Kingma and Ba 2015 as Keras computes it, float32: alpha = lr sqrt(1 - b2^t) / (1 - b1^t);
/// m += (g - m)(1 - b1);  v += (g g - v)(1 - b2);  w -= m alpha / (sqrt(v) + epsilon).
/// With weight_decay it is AdamW (Loshchilov and Hutter 2019): w -= w weight_decay lr beforehand.
class Adam : public Optimizer {
 public:
  struct Options {
    float learning_rate = 1e-3f;
    double beta_1 = 0.9;  ///< double: 1 - beta is rounded to float32 once, as TensorFlow does
    double beta_2 = 0.999;
    float epsilon = 1e-7f;
    float weight_decay = 0.0f;
  };
  explicit Adam(const Options& options);
  Adam();
  float learning_rate() const override { return options_.learning_rate; }
  std::string name() const override { return "adam"; }
  std::map<std::string, std::string> settings() const override;
  const Options& options() const { return options_; }

 private:
  void begin_step(float learning_rate) override;
  void update(const std::string& name, Tensor& value, const Tensor& gradient) override;
  Options options_;
  float rate_ = 0.0f, alpha_ = 0.0f;
};

/// Adam with decoupled weight decay, 0.004 by default as in Keras.
class AdamW final : public Adam {
 public:
  /// Decays as the options say: 0 unless weight_decay is given there.
  explicit AdamW(Options options);
  AdamW();
  std::string name() const override { return "adamw"; }
};

}  // namespace perch
