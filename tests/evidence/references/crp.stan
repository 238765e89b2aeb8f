// sle_crp: log-normal, below a limit of detection only that is known.
data {
  int<lower=1> n;
  int<lower=1> n_rows;
  int<lower=1> subject[n_rows];
  int<lower=0, upper=2> later[n_rows];
  vector<lower=0>[n_rows] crp;                 // the limit where censored
  int<lower=0, upper=1> censored[n_rows];
  vector[n] treated;
}
parameters {
  real mean_level;
  vector[2] time_course;
  vector[2] effect;
  real<lower=0> sd_patient;
  real<lower=0> sd_residual;
  vector[n] z;
}
model {
  mean_level ~ normal(0, 1.5);
  time_course ~ std_normal();
  effect ~ std_normal();
  sd_patient ~ std_normal();
  sd_residual ~ std_normal();
  z ~ std_normal();
  for (r in 1:n_rows) {
    real location = mean_level + sd_patient * z[subject[r]];
    if (later[r]) location += time_course[later[r]] + effect[later[r]] * treated[subject[r]];
    if (censored[r]) target += lognormal_lcdf(crp[r] | location, sd_residual);
    else crp[r] ~ lognormal(location, sd_residual);
  }
}
