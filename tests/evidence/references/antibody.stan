// als_antibody: the effect on the slope changes at an onset known to lie between two tests, or after the last.
// All patients are seen at all visits; level and slope of each are integrated out.
data {
  int<lower=1> n;
  int<lower=1> visits;
  vector[visits] month;
  vector[visits] score[n];
  int<lower=0, upper=1> treated[n];
  int<lower=0> converter[n];      // number among those seen to convert, 0 for others
  int<lower=1> converters;
  vector[converters] after;
  vector[converters] by;
  int<lower=0> unseen;            // treated, negative at the last visit
  vector[unseen] negative_until;
}
parameters {
  real mean_level;
  real<lower=0> sd_level;
  real mean_slope;
  real effect_before;
  real effect_after;
  real<lower=0> sd_slope;
  real<lower=-1, upper=1> correlation;
  real<lower=0> sd_residual;
  real<lower=0, upper=1> share_converting;
  real<lower=0> median_onset;
  real<lower=0> onset_shape;
  vector<lower=0, upper=1>[converters] within;
}
transformed parameters {
  vector[converters] onset = after + within .* (by - after);
}
model {
  real unit = median_onset / pow(log(2), 1 / onset_shape);
  vector[visits] ones = rep_vector(1, visits);
  vector[visits] expected[n];
  matrix[visits, visits] v = square(sd_level) * ones * ones' + square(sd_slope) * month * month'
                             + correlation * sd_level * sd_slope * (ones * month' + month * ones');
  for (j in 1:visits) v[j, j] += square(sd_residual);
  mean_level ~ normal(38, 10);
  sd_level ~ normal(0, 8);
  mean_slope ~ normal(-1, 1);
  effect_before ~ normal(0, 0.5);
  effect_after ~ normal(0, 0.5);
  sd_slope ~ normal(0, 1);
  sd_residual ~ lognormal(0.6, 0.5);
  share_converting ~ beta(1, 1);
  median_onset ~ lognormal(1, 1);
  onset_shape ~ lognormal(0.3, 0.5);
  // `onset` is linear in `within`: the Jacobian is a constant.
  target += converters * log(share_converting) + weibull_lpdf(onset | onset_shape, unit);
  for (k in 1:unseen)
    target += log_sum_exp(log1m(share_converting), log(share_converting) + weibull_lccdf(negative_until[k] | onset_shape, unit));
  for (i in 1:n) {
    expected[i] = mean_level + mean_slope * month;
    if (treated[i]) {             // who stays negative does so at all visits
      for (j in 1:visits) {
        real without = converter[i] ? fmin(month[j], onset[converter[i]]) : month[j];
        expected[i][j] += effect_before * without + effect_after * (month[j] - without);
      }
    }
  }
  score ~ multi_normal_cholesky(expected, cholesky_decompose(v));
}
